//! What somebody who queries the database sees.

use grid_core::Result;
use grid_core::traits::Persistence;
use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::place::Place;
use grid_testkit::rows::{PARTITION, STAMPED_MS, record, store};

/// `{"text": "é", "done": true}`.
const TODO: &[u8] = b"\xa2\x64text\x62\xc3\xa9\x64done\xf5";

#[test]
fn a_user_reads_values_times_and_deletions() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let backend = place.open().await?;
        let mut records = [
            record("a", 1, Some(TODO)),
            record("bytes", 2, Some(b"\x42\x00\xff")),
            record("gone", 3, None),
            record("soon", 4, Some(b"\x01")),
        ];
        records[3].record.expires_at_ms = Some(STAMPED_MS + 1);
        store(&backend, &records).await?;

        let collection = place.database().await.collection::<Document>("records");
        let find = async |key: &str| {
            let filter = doc! { "namespace": "default", "map": "todos", "key": key };
            collection.find_one(filter).await.unwrap().unwrap()
        };
        let todo = find("a").await;
        let expected = doc! { "text": "é", "done": true };
        assert_eq!(todo.get("value"), Some(&Bson::Document(expected)));
        assert_eq!(todo.get("kind"), Some(&Bson::String("value".to_owned())));
        let history = Bson::String("f00000000000000a".to_owned());
        assert_eq!(todo.get("history"), Some(&history));
        let stamped = Bson::DateTime(DateTime::from_millis(STAMPED_MS.cast_signed()));
        assert_eq!(todo.get("stampedAt"), Some(&stamped));
        assert_eq!(todo.get("expiresAt"), Some(&Bson::Null));
        assert_eq!(find("bytes").await.get("value"), Some(&Bson::Null));
        let gone = find("gone").await;
        assert_eq!(
            gone.get("kind"),
            Some(&Bson::String("tombstone".to_owned()))
        );
        assert_eq!(gone.get("cbor"), Some(&Bson::Null));
        let soon = find("soon").await;
        let expires = Bson::DateTime(DateTime::from_millis(STAMPED_MS.cast_signed() + 1));
        assert_eq!(soon.get("expiresAt"), Some(&expires));

        let page = backend.load(PARTITION, None, 10).await?;
        assert_eq!(page.records, records, "and clients get the bytes");

        store(&backend, &[record("a", 5, None)]).await?;
        assert_eq!(
            find("a").await.get("value"),
            Some(&Bson::Null),
            "no old value"
        );
        backend.close().await
    })
}

#[test]
fn a_damaged_document_is_told_and_not_guessed_at() -> Result<()> {
    let place = Place::new();
    place.block_on(async {
        let backend = place.open().await?;
        store(&backend, &[record("a", 1, Some(TODO))]).await?;
        let collection = place.database().await.collection::<Document>("records");
        collection
            .update_one(doc! { "key": "a" }, doc! { "$set": { "cbor": "text" } })
            .await
            .unwrap();
        let error = backend.load(PARTITION, None, 10).await.unwrap_err();
        assert_eq!(error.kind(), grid_core::ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("cbor"), "{error}");
        backend.close().await
    })
}
