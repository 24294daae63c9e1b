//! Connections that are lost, held up or not to be had: each an error that a retry gets over.

use std::net::TcpListener;
use std::time::Duration;

use futures::future::{join, join_all};
use grid_core::traits::Persistence;
use grid_core::{Error, ErrorKind, Result};
use grid_storage_postgres::PostgresPersistence;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::place::{Place, open, run, runtime};
use grid_testkit::rows::{PARTITION, pairs, record, stands, state, store};

fn assert_passing(error: &Error, kind: ErrorKind) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.is_retryable(), "{error}");
}

/// Ends the connections that `of` opened, as an administrator does.
async fn terminate(connection: &mut PgConnection, of: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
         WHERE application_name = '{of}'"
    )))
    .fetch_one(connection)
    .await
    .unwrap()
}

/// How often is looked whether all wait; each look is a query.
const LOOKS: usize = 20_000;

/// How many connections wait for the table of records.
async fn waiting(connection: &mut PgConnection) -> i64 {
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE relation = 'records'::regclass AND NOT granted";
    sqlx::query_scalar(waiting)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Loads so many times at once, held up until `wanted` loads wait in the database; returns how many
/// did.
async fn load_at_once(
    backend: &PostgresPersistence,
    connection: &mut PgConnection,
    loads: usize,
    wanted: i64,
) -> Result<i64> {
    run(connection, "BEGIN; LOCK TABLE records").await;
    let let_go = async {
        let mut most = 0;
        for _ in 0..LOOKS {
            most = waiting(connection).await.max(most);
            if most >= wanted {
                break;
            }
        }
        run(connection, "COMMIT").await;
        most
    };
    let load = |_| backend.load(PARTITION, None, 10);
    let (pages, most) = join(join_all((0..loads).map(load)), let_go).await;
    pages.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(most)
}

#[test]
fn lost_connections_are_replaced() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let name = place.schema();
        let backend = open(&place.url(&format!("&application_name={name}"))).await?;
        let mut connection = place.connect().await;
        let load = |_| backend.load(PARTITION, None, 10);
        assert_eq!(load_at_once(&backend, &mut connection, 4, 4).await?, 4);
        assert_eq!(terminate(&mut connection, name).await, 4);
        // At most one call meets a lost connection; it takes the others that are lost with it.
        if let Err(error) = store(&backend, &[record("a", 1, None)]).await {
            assert_passing(&error, ErrorKind::Unavailable);
        }
        for page in join_all((0..4).map(load)).await {
            page?;
        }
        store(&backend, &[record("a", 1, None)]).await?;
        // One that lay idle for a while is asked first, so that nobody notices.
        assert!(terminate(&mut connection, name).await >= 1);
        backend_idles(&mut connection).await;
        store(&backend, &[record("b", 2, None)]).await?;
        assert_eq!(stands(&backend).await?, pairs(&[("a", 1), ("b", 2)]));
        backend.close().await
    })
}

/// Lets more time pass than a connection may lie idle unasked.
async fn backend_idles(connection: &mut PgConnection) {
    run(connection, "SELECT pg_sleep(1.2)").await;
}

#[test]
fn a_store_that_waits_for_a_lock_ends_in_time_and_leaves_nothing() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = open(&place.url("&statement_timeout=1")).await?;
        let mut connection = place.connect().await;
        run(
            &mut connection,
            "BEGIN; LOCK TABLE records IN EXCLUSIVE MODE",
        )
        .await;
        let error = store(&backend, &[record("a", 1, None)]).await.unwrap_err();
        assert_passing(&error, ErrorKind::Timeout);
        run(&mut connection, "COMMIT").await;
        assert_eq!(backend.load_state(PARTITION).await?, None);
        store(&backend, &[record("a", 1, None)]).await?;
        assert_eq!(stands(&backend).await?, pairs(&[("a", 1)]));
        backend.close().await
    })
}

#[test]
fn a_deadlock_with_somebody_elses_transaction_passes() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        store(&backend, &[record("a", 1, None), record("b", 2, None)]).await?;
        let mut connection = place.connect().await;
        run(
            &mut connection,
            "SET deadlock_timeout = '10s'; BEGIN; UPDATE records SET number = 0 WHERE key = 'b'",
        )
        .await;
        let records = [record("a", 3, None), record("b", 4, None)];
        let theirs = async {
            // Ours holds `a` and waits for `b` by the time that this can see it wait.
            loop {
                let waiting: bool = sqlx::query_scalar(
                    "SELECT EXISTS (SELECT FROM pg_stat_activity
                     WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))",
                )
                .fetch_one(&mut connection)
                .await
                .unwrap();
                if waiting {
                    break;
                }
            }
            run(
                &mut connection,
                "UPDATE records SET number = 0 WHERE key = 'a'; COMMIT",
            )
            .await;
        };
        let (stored, ()) = join(store(&backend, &records), theirs).await;
        // Ours looks for deadlocks first, so it is the one that is ended.
        assert_passing(&stored.unwrap_err(), ErrorKind::Conflict);
        store(&backend, &records).await?;
        assert_eq!(stands(&backend).await?, pairs(&[("a", 3), ("b", 4)]));
        backend.close().await
    })
}

#[test]
fn too_many_connections_pass() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let mut connection = place.connect().await;
        let role = format!("role_{}", place.schema());
        run(
            &mut connection,
            &format!(
                "CREATE ROLE {role} LOGIN PASSWORD 'pw' CONNECTION LIMIT 1;
                 CREATE SCHEMA {schema} AUTHORIZATION {role}",
                schema = place.schema()
            ),
        )
        .await;
        let (scheme, rest) = place.url("").split_once("://").map(own).unwrap();
        let host = rest.rsplit('@').next().unwrap();
        let url = format!("{scheme}://{role}:pw@{host}");
        let first = open(&url).await?;
        let second = open(&url).await?;
        let error = second.load_state(PARTITION).await.unwrap_err();
        assert_passing(&error, ErrorKind::Overloaded);
        first.close().await?;
        // The server counts a connection until its process is gone.
        while let Err(error) = store(&second, &[record("k", 1, None)]).await {
            assert_passing(&error, ErrorKind::Overloaded);
        }
        second.close().await?;
        run(
            &mut connection,
            &format!("DROP SCHEMA {} CASCADE", place.schema()),
        )
        .await;
        run(&mut connection, &format!("DROP ROLE {role}")).await;
        Ok(())
    })
}

fn own((scheme, rest): (&str, &str)) -> (String, String) {
    (scheme.to_owned(), rest.to_owned())
}

#[test]
fn a_server_that_is_not_there_or_never_answers_is_waited_for() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let url =
            format!("postgres://u:s3cret@127.0.0.1:{port}/d?connect_timeout=1&sslmode=disable");
        let clock = runtime();
        let start = clock.monotonic();
        let backend = open(&url).await?;
        let took = clock.monotonic() - start;
        assert!(took < Duration::from_secs(10), "{took:?}");
        let error = backend.load_state(PARTITION).await.unwrap_err();
        assert_passing(&error, ErrorKind::Unavailable);
        drop(silent);
        let error = backend.store(PARTITION, &[], &state(1)).await.unwrap_err();
        assert_passing(&error, ErrorKind::Unavailable);
        assert!(
            !format!("{error} {backend:?}").contains("s3cret"),
            "{error} {backend:?}"
        );
        backend.close().await
    })
}

#[test]
fn no_more_connections_are_made_than_allowed() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let name = place.schema();
        let url = place.url(&format!("&application_name={name}&max_connections=2"));
        let backend = open(&url).await?;
        let mut connection = place.connect().await;
        assert_eq!(load_at_once(&backend, &mut connection, 20, 2).await?, 2);
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"
        )))
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(count, 2);
        backend.close().await
    })
}
