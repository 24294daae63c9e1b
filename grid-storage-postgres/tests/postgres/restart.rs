//! A server of one's own: killed, started again, and with passwords.

use grid_core::traits::Persistence;
use grid_core::{ErrorKind, Result};
use grid_testkit::servers::PostgresServer;

use crate::place::{Place, open, run};
use grid_testkit::rows::{PARTITION, pairs, record, stands, state, store};

#[test]
fn what_returned_survives_a_killed_server_and_work_goes_on() -> Result<()> {
    let server = PostgresServer::start(true).unwrap();
    let place = Place::on(server.url(), 0);
    place.block_on(async {
        let backend = place.open().await?;
        let records: Vec<_> = (1..=500u64)
            .map(|n| record(&format!("{n:03}"), n, Some(b"\x01")))
            .collect();
        store(&backend, &records).await?;
        server.kill().unwrap();
        let error = store(&backend, &[record("501", 501, None)])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable());
        // It opens while the database is down, and works when that is back.
        let late = place.open().await?;
        assert!(late.load_state(PARTITION).await.is_err());

        server.restart().unwrap();
        assert_eq!(late.load_state(PARTITION).await?, Some(state(500)));
        assert_eq!(backend.load(PARTITION, None, 1_000).await?.records, records);
        store(&late, &[record("501", 501, None)]).await?;
        assert_eq!(backend.load_state(PARTITION).await?, Some(state(501)));

        server.stop().unwrap();
        let error = backend.load_state(PARTITION).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        server.restart().unwrap();
        assert_eq!(backend.load_state(PARTITION).await?, Some(state(501)));
        backend.close().await?;
        late.close().await?;
        passwords(&server, &place).await
    })
}

/// From here on the server asks for a password: the right one opens, a wrong one is told at once.
async fn passwords(server: &PostgresServer, place: &Place) -> Result<()> {
    let mut connection = place.connect().await;
    run(
        &mut connection,
        &format!(
            "CREATE ROLE careful LOGIN PASSWORD 'r1ght' IN ROLE pg_read_all_data;
             CREATE SCHEMA careful AUTHORIZATION careful;
             DO $$ BEGIN EXECUTE format('COPY (SELECT unnest(ARRAY[{rules}])) TO %L',
                 current_setting('hba_file')); END $$;
             SELECT pg_reload_conf();",
            rules = "''host all careful 127.0.0.1/32 scram-sha-256'', \
                     ''host all all 127.0.0.1/32 trust''",
        ),
    )
    .await;
    let url = |password: &str| {
        let port = server.port();
        format!(
            "postgres://careful:{password}@127.0.0.1:{port}/postgres?schema=careful&sslmode=disable"
        )
    };
    let error = open(&url("wr0ng")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    assert!(
        !error.is_retryable() && !error.to_string().contains("wr0ng"),
        "{error}"
    );
    let backend = open(&url("r1ght")).await?;
    store(&backend, &[record("k", 1, None)]).await?;
    assert_eq!(stands(&backend).await?, pairs(&[("k", 1)]));
    backend.close().await
}
