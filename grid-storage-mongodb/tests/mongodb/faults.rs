//! A server that is killed, and one that is not there.

use grid_core::traits::Persistence;
use grid_core::{DriverKind, ErrorKind, Registry, Result};
use grid_storage_mongodb::DRIVER;
use grid_testkit::servers::{MongoDoor, MongoServer};

use crate::place::{Place, open};
use grid_testkit::rows::{PARTITION, pairs, record, stands, state, store};

#[test]
fn what_returned_survives_a_killed_server_and_work_goes_on() -> Result<()> {
    let server = MongoServer::start().unwrap();
    let place = Place::on(format!("{}&serverSelectionTimeoutMS=3000", server.url()));
    place.block_on(async {
        let backend = place.open().await?;
        let records: Vec<_> = (1..=50u64)
            .map(|n| record(&format!("{n:03}"), n, Some(b"\x01")))
            .collect();
        store(&backend, &records).await?;
        server.kill().unwrap();
        let error = store(&backend, &[record("051", 51, None)])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable());
        // It opens while the database is down, and works when that is back.
        let late = place.open().await?;
        assert!(late.load_state(PARTITION).await.is_err());

        server.restart().unwrap();
        // The driver looks again when it is asked, and until it has found the server it says so.
        while let Err(error) = late.load_state(PARTITION).await {
            assert!(error.is_retryable(), "{error}");
        }
        assert_eq!(late.load_state(PARTITION).await?, Some(state(50)));
        assert_eq!(backend.load(PARTITION, None, 100).await?.records, records);
        store(&late, &[record("051", 51, None)]).await?;
        assert_eq!(backend.load_state(PARTITION).await?, Some(state(51)));
        backend.close().await?;
        late.close().await
    })
}

#[test]
fn a_server_that_is_not_there_is_waited_for_without_showing_a_password() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let url = "mongodb://u:s3cret@127.0.0.1:1/d?serverSelectionTimeoutMS=100";
        let backend = open(url).await?;
        let error = backend.store(PARTITION, &[], &state(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable());
        assert!(
            !format!("{error} {backend:?}").contains("s3cret"),
            "{error} {backend:?}"
        );
        backend.close().await
    })
}

#[test]
fn a_password_that_is_refused_is_no_reason_to_wait_and_is_not_shown() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let door = MongoDoor::start().await.unwrap();
        for mechanism in ["", "&authMechanism=SCRAM-SHA-256", "&authMechanism=PLAIN"] {
            let address = door.address();
            let url = format!("mongodb://ada:s3cret@{address}/d?directConnection=true{mechanism}");
            let error = open(&url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
            assert!(!error.is_retryable());
            assert!(error.to_string().contains("user or password"), "{error}");
            assert!(
                !format!("{error:?} {error}").contains("s3cret"),
                "{error:?}"
            );
        }
        // Who names no user is told that one is needed.
        let url = format!("mongodb://{}/d?directConnection=true", door.address());
        let error = open(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
        Ok(())
    })
}

#[test]
fn the_driver_opens_by_its_scheme() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let runtime = std::sync::Arc::new(grid_runtime_tokio::TokioRuntime::current()?);
        let registry = Registry::default();
        let found = registry.find(DriverKind::Persistence, "mongodb")?;
        assert_eq!(found.name, DRIVER.name);
        let backend = registry.open_persistence(&place.url(), runtime).await?;
        store(&*backend, &[record("k", 1, None)]).await?;
        assert_eq!(stands(&*backend).await?, pairs(&[("k", 1)]));
        backend.close().await
    })
}
