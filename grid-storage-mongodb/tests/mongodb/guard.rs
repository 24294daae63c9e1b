//! The guard, where it depends on how MongoDB goes about it.

use grid_core::traits::{Persistence, StateRecord};
use grid_core::{ErrorKind, History, Result};
use mongodb::bson::{Document, doc};

use crate::place::Place;
use grid_testkit::rows::{PARTITION, pairs, record, stands, state, store};

#[test]
fn two_owners_that_overlap_leave_the_newer_ones_records() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let (former, owner) = (place.open().await?, place.open().await?);
        for round in 0..10u64 {
            let key = format!("{round:02}");
            let old = [record(&key, 100 + round * 2, Some(b"\x01"))];
            let new = [record(&key, 101 + round * 2, Some(b"\x02"))];
            let (first, second) =
                futures::future::join(store(&former, &old), store(&owner, &new)).await;
            first.and(second)?;
        }
        let page = owner.load(PARTITION, None, 100).await?;
        assert_eq!(page.records.len(), 10);
        for found in page.records {
            assert_eq!(
                found.record.value.as_deref(),
                Some(&b"\x02"[..]),
                "{found:?}"
            );
        }
        assert_eq!(owner.load_state(PARTITION).await?, Some(state(119)));
        former.close().await?;
        owner.close().await
    })
}

#[test]
fn a_whole_batch_of_another_history_replaces_and_then_guards() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let backend = place.open().await?;
        let batch = |from: u64| -> Vec<_> {
            (0..50)
                .map(|n| record(&format!("{n:02}"), from + n, None))
                .collect()
        };
        store(&backend, &batch(1_000)).await?;
        let other = StateRecord {
            history: History(5),
            ..state(150)
        };
        backend.store(PARTITION, &batch(101), &other).await?;
        let older = StateRecord {
            history: History(5),
            ..state(149)
        };
        backend.store(PARTITION, &batch(100), &older).await?;
        let expected: Vec<(String, u64)> = (0..50).map(|n| (format!("{n:02}"), 101 + n)).collect();
        assert_eq!(stands(&backend).await?, expected);
        assert_eq!(backend.load_state(PARTITION).await?, Some(other));
        backend.close().await
    })
}

#[test]
fn an_index_of_the_users_refuses_a_record_and_is_not_taken_for_the_guard() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let backend = place.open().await?;
        store(&backend, &[record("a", 1, Some(b"\xa1\x61n\x01"))]).await?;
        let index = doc! {
            "createIndexes": "records",
            "indexes": [{ "key": { "value.n": 1 }, "name": "n", "unique": true }],
        };
        place.database().await.run_command(index).await.unwrap();
        let batch = [
            record("b", 2, Some(b"\xa1\x61n\x02")),
            record("c", 3, Some(b"\xa1\x61n\x01")),
        ];
        let error = store(&backend, &batch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(!error.is_retryable());
        assert_eq!(backend.load_state(PARTITION).await?, Some(state(1)));
        store(&backend, &batch[..1]).await?;
        assert_eq!(stands(&backend).await?, pairs(&[("a", 1), ("b", 2)]));
        backend.close().await
    })
}

#[test]
fn a_schema_of_the_future_names_both_versions() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let both = futures::future::join(place.open(), place.open()).await;
        both.0?.close().await?;
        both.1?.close().await?;
        let schema = place.database().await.collection::<Document>("schema");
        assert_eq!(schema.count_documents(doc! {}).await.unwrap(), 1);
        schema
            .update_one(doc! {}, doc! { "$set": { "version": 7 } })
            .await
            .unwrap();
        let error = place.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Version, "{error}");
        assert!(error.message().contains("version 7"), "{error}");
        assert!(error.message().contains("knows version 1"), "{error}");
        Ok(())
    })
}
