//! How a schema comes to be, and which ones are refused.

use futures::future::join_all;
use grid_core::traits::Persistence;
use grid_core::{DriverKind, ErrorKind, Registry, Result};
use grid_storage_postgres::DRIVER;

use crate::place::{Place, run, runtime};
use grid_testkit::rows::{pairs, record, stands, store};

#[test]
fn servers_that_start_at_once_make_one_schema() -> Result<()> {
    let place = Place::new(2);
    place.block_on(async {
        let opened = join_all((0..8).map(|_| place.open())).await;
        let backends = opened.into_iter().collect::<Result<Vec<_>>>()?;
        for (backend, sequence) in backends.iter().zip(1..) {
            store(backend, &[record("k", sequence, None)]).await?;
        }
        assert_eq!(stands(&backends[0]).await?, pairs(&[("k", 8)]));
        let mut connection = place.connect().await;
        let versions: Vec<i32> = sqlx::query_scalar("SELECT version FROM schema_version")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(versions, [1]);
        for backend in backends {
            backend.close().await?;
        }
        Ok(())
    })
}

#[test]
fn a_schema_of_the_future_names_both_versions_and_stays_as_it_is() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        place.open().await?.close().await?;
        let mut connection = place.connect().await;
        run(
            &mut connection,
            "INSERT INTO schema_version VALUES (7); DROP VIEW entries; DROP TABLE records;",
        )
        .await;
        let error = place.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Version, "{error}");
        assert!(error.message().contains("version 7"), "{error}");
        assert!(error.message().contains("knows version 1"), "{error}");
        let made: bool = sqlx::query_scalar("SELECT to_regclass('records') IS NOT NULL")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert!(!made, "nothing is made in it");
        Ok(())
    })
}

#[test]
fn a_migration_that_fails_leaves_nothing_and_is_tried_again() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let mut connection = place.connect().await;
        // In the way of an index that comes after the tables.
        run(
            &mut connection,
            &format!(
                "CREATE SCHEMA {schema}; CREATE TABLE {schema}.tombstones (mine int)",
                schema = place.schema()
            ),
        )
        .await;
        place.open().await.unwrap_err();
        let left: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1)",
        )
        .bind(place.schema())
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(left, 1, "the table that was there");
        run(&mut connection, "DROP TABLE tombstones").await;
        let backend = place.open().await?;
        store(&backend, &[record("k", 1, None)]).await?;
        backend.close().await
    })
}

#[test]
fn somebody_elses_tables_are_refused_and_stay_as_they_are() {
    let place = Place::new(0);
    place.block_on(async {
        let mut connection = place.connect().await;
        run(
            &mut connection,
            &format!(
                "CREATE SCHEMA {schema}; CREATE TABLE {schema}.records (title text);
                 INSERT INTO {schema}.records VALUES ('Kind of Blue')",
                schema = place.schema()
            ),
        )
        .await;
        let error = place.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.message().contains("`records`"), "{error}");
        let titles: Vec<String> = sqlx::query_scalar("SELECT title FROM records")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(titles, ["Kind of Blue"]);
    });
}

#[test]
fn the_driver_opens_by_both_schemes() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let registry = Registry::default();
        let found = registry.find(DriverKind::Persistence, "postgresql")?;
        assert_eq!(found.name, DRIVER.name);
        let url = place.url("&max_connections=1");
        let (_, rest) = url.split_once(':').unwrap();
        let records = [record("k", 1, None)];
        let first = registry
            .open_persistence(&format!("postgres:{rest}"), runtime())
            .await?;
        store(&*first, &records).await?;
        first.close().await?;
        let second = registry
            .open_persistence(&format!("postgresql:{rest}"), runtime())
            .await?;
        assert_eq!(stands(&*second).await?, pairs(&[("k", 1)]));
        second.close().await
    })
}
