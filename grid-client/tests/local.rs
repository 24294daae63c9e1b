//! A grid without a server: writes, reads, subscriptions, restarts, and a store that fails.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::Either;
use grid_client::{ConnectionState, Event, Grid, GridBuilder};
use grid_core::ErrorKind;
use grid_core::limits::{DEFAULT_MAX_VALUE_BYTES, MAX_CBOR_DEPTH};
use grid_core::traits::{Batch, Storage, Table, Write};
use grid_storage_memory::MemoryStorage;
use support::{FailingStorage, runtime};

async fn open(url: &str) -> Grid {
    let storage = Arc::new(MemoryStorage::open(url).unwrap());
    let builder = GridBuilder::new().runtime(runtime());
    builder.storage_backend(storage).open().await.unwrap()
}

#[tokio::test]
async fn a_write_is_visible_and_survives_a_restart_with_its_identity() {
    let url = "memory:local-restart";
    let grid = open(url).await;
    let map = grid.map::<String>("notes").unwrap();
    let first = map.put("a", &"one".to_owned()).await.unwrap().op();
    map.put("b", &"two".to_owned()).await.unwrap();
    map.put("b", &"three".to_owned()).await.unwrap();
    map.remove("a").await.unwrap();
    assert_eq!(grid.status().pending, 4);
    grid.close().await.unwrap();
    let error = map.put("c", &"late".to_owned()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);

    let grid = open(url).await;
    let map = grid.map::<String>("notes").unwrap();
    assert_eq!(map.get("a").unwrap(), None);
    assert_eq!(map.get("b").unwrap().as_deref(), Some("three"));
    assert_eq!(map.len(), 1);
    assert_eq!(grid.status().pending, 4, "nothing was pushed yet");
    let later = map.put("c", &"four".to_owned()).await.unwrap().op();
    assert_ne!(later.run, first.run, "each opening is a run of its own");
    assert_eq!(later.number, 1);
}

#[tokio::test]
async fn entries_come_in_the_order_of_their_bytes() {
    let grid = open("memory:").await;
    let map = grid.map::<u32>("m").unwrap();
    let keys = ["b", "a", "ä", "z", "a/b", "B"];
    let entries = keys.iter().zip(0..).map(|(key, number)| (*key, number));
    let handle = map.put_all(entries).await.unwrap();
    assert_eq!(handle.ops().len(), 6);
    let found: Vec<String> = map
        .iter()
        .map(|entry| entry.unwrap().0.to_string())
        .collect();
    assert_eq!(found, ["B", "a", "a/b", "b", "z", "ä"]);
    assert_eq!(grid.connection_state(), ConnectionState::Local);
}

#[tokio::test]
async fn a_subscriber_gets_a_snapshot_then_changes_and_the_end() {
    let grid = open("memory:").await;
    let map = grid.map::<u32>("m").unwrap();
    map.put("list1/a", &1).await.unwrap();
    map.put("list2/a", &1).await.unwrap();
    let mut live = map.subscribe_prefix("list1/");
    let Event::Snapshot {
        entries, loaded, ..
    } = live.next().await.unwrap().unwrap()
    else {
        panic!("a snapshot comes first");
    };
    assert_eq!(entries.len(), 1);
    assert!(!loaded, "no server ever told that this is all");
    map.put("list2/a", &2).await.unwrap();
    map.put("list1/a", &2).await.unwrap();
    map.put("list1/a", &3).await.unwrap();
    let Event::Changed { key, value } = live.next().await.unwrap().unwrap() else {
        panic!("then what changed");
    };
    assert_eq!((key.as_str(), value), ("list1/a", Some(3)));
    map.remove("list1/a").await.unwrap();
    let event = live.next().await.unwrap().unwrap();
    assert!(matches!(event, Event::Changed { value: None, .. }));
    // Also who waits already learns of the end.
    {
        let ending = std::pin::pin!(async {
            let (end, closed) = futures::join!(live.next(), grid.close());
            closed.unwrap();
            assert!(end.is_none());
        });
        let patience = runtime().sleep(Duration::from_secs(20));
        let ended = futures::future::select(ending, patience).await;
        assert!(matches!(ended, Either::Left(_)), "it still waits");
    }
    assert!(live.next().await.is_none());
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_that_names_the_key() {
    let grid = open("memory:").await;
    grid.map::<String>("m")
        .unwrap()
        .put("k", &"text".to_owned())
        .await
        .unwrap();
    let error = grid.map::<u32>("m").unwrap().get("k").unwrap_err();
    assert!(error.to_string().contains("key: k"), "{error}");
    let oversize = grid
        .map::<Vec<u8>>("m")
        .unwrap()
        .put("k", &vec![0; 300_000])
        .await;
    assert_eq!(oversize.unwrap_err().kind(), ErrorKind::TooLarge);
    let broken = grid
        .map::<u32>("m")
        .unwrap()
        .put_bytes("k", vec![0x82, 1].into())
        .await;
    assert_eq!(broken.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_value_with_one_name_twice_is_refused_with_its_key() {
    let grid = open("memory:").await;
    let twice = Bytes::from_static(b"\xa2\x61a\x01\x61a\x02");
    let map = grid.map::<ciborium::Value>("m").unwrap();
    let as_bytes = map.put_bytes("k", twice.clone()).await.unwrap_err();
    let one = || ("a".into(), 1.into());
    let value = ciborium::Value::Map(vec![one(), one()]);
    let typed = map.put("k", &value).await.unwrap_err();
    for error in [as_bytes, typed, map.check("k", &value).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let said = error.to_string();
        assert!(
            said.contains("one name") && said.contains("key: k"),
            "{said}"
        );
    }
    assert_eq!(grid.status().pending, 0);
    assert!(map.is_empty());
}

#[tokio::test]
async fn a_value_that_every_server_refuses_is_refused_here() {
    let grid = open("memory:").await;
    let map = grid.map::<serde_json::Value>("m").unwrap();
    let nested = |levels: usize| {
        let text = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    map.put("k", &nested(MAX_CBOR_DEPTH)).await.unwrap();
    let error = map.put("deep", &nested(MAX_CBOR_DEPTH + 1)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let said = error.to_string();
    assert!(
        said.contains("64 levels") && said.contains("deep"),
        "{said}"
    );
    let refused = |key: &str, value: &_| map.check(key, value).unwrap_err().kind();
    map.check("k", &nested(MAX_CBOR_DEPTH)).unwrap();
    assert_eq!(
        refused("k", &nested(MAX_CBOR_DEPTH + 1)),
        ErrorKind::TooLarge
    );
    assert_eq!(refused("", &nested(1)), ErrorKind::Invalid);
    let long = serde_json::json!("x".repeat(DEFAULT_MAX_VALUE_BYTES));
    assert_eq!(refused("k", &long), ErrorKind::TooLarge);
    // Many items of one byte each are within every bound.
    let many = serde_json::json!(vec![1; 200_000]);
    map.put("many", &many).await.unwrap();
    assert_eq!(map.get("many").unwrap().as_ref(), Some(&many));
    let as_bytes = map.get_bytes("many").unwrap().unwrap();
    map.put_bytes("bytes", as_bytes).await.unwrap();
    assert_eq!(map.get("bytes").unwrap(), Some(many));
    assert_eq!(grid.status().pending, 3);
}

#[tokio::test]
async fn a_write_that_the_store_did_not_take_did_not_happen() {
    let storage = Arc::new(FailingStorage::new(MemoryStorage::open("memory:").unwrap()));
    let builder = GridBuilder::new().runtime(runtime());
    let grid = builder
        .storage_backend(storage.clone())
        .open()
        .await
        .unwrap();
    let map = grid.map::<u32>("m").unwrap();
    map.put("k", &1).await.unwrap();
    storage.fail(true);
    let error = map.put("k", &2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.to_string().contains("path: here"), "{error}");
    assert_eq!(map.get("k").unwrap(), Some(1));
    assert_eq!(grid.status().pending, 1);
    assert!(grid.storage_error().is_some());
    storage.fail(false);
    map.put("k", &3).await.unwrap();
    assert_eq!(map.get("k").unwrap(), Some(3));
    assert_eq!(grid.storage_error(), None);
    grid.close().await.unwrap();
}

#[tokio::test]
async fn concurrent_writes_share_batches_of_the_store() {
    let storage = Arc::new(FailingStorage::new(MemoryStorage::open("memory:").unwrap()));
    let builder = GridBuilder::new().runtime(runtime());
    let grid = builder
        .storage_backend(storage.clone())
        .open()
        .await
        .unwrap();
    let map = grid.map::<u32>("m").unwrap();
    let before = storage.batches();
    let gate = storage.hold();
    let writes = (0..500).map(|number| {
        let map = map.clone();
        async move { map.put(&format!("k{number}"), &number).await.unwrap() }
    });
    let mut writes = std::pin::pin!(futures::future::join_all(writes));
    // The store takes nothing yet. A task gets some hundred steps at a time, so ask repeatedly.
    for _ in 0..50 {
        assert!(futures::poll!(&mut writes).is_pending());
        tokio::task::yield_now().await;
    }
    drop(gate);
    assert_eq!(writes.await.len(), 500);
    assert_eq!(map.len(), 500);
    let batches = storage.batches() - before;
    assert!(
        batches <= 3,
        "{batches} batches for 500 writes made at once"
    );
}

#[tokio::test]
async fn a_store_belongs_to_one_namespace() {
    let url = "memory:local-namespace";
    open(url).await.close().await.unwrap();
    let storage = Arc::new(MemoryStorage::open(url).unwrap());
    let builder = GridBuilder::new().runtime(runtime()).namespace("other");
    let error = builder.storage_backend(storage).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("`other`"), "{error}");
    // The failed opening released the store.
    open(url).await.close().await.unwrap();
}

#[tokio::test]
async fn a_value_of_another_type_hides_no_other_from_a_subscriber() {
    let grid = open("memory:").await;
    let texts = grid.map::<String>("m").unwrap();
    let numbers = grid.map::<u32>("m").unwrap();
    numbers.put("a", &1).await.unwrap();
    texts.put("b", &"text".to_owned()).await.unwrap();
    numbers.put("c", &3).await.unwrap();
    let mut live = numbers.subscribe();
    let Event::Snapshot { entries, .. } = live.next().await.unwrap().unwrap() else {
        panic!("a snapshot comes first");
    };
    let found: Vec<_> = entries
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    assert_eq!(found, [("a", 1), ("c", 3)]);
    let error = live.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("key: b"), "{error}");
    numbers.put("b", &2).await.unwrap();
    let event = live.next().await.unwrap().unwrap();
    assert!(
        matches!(&event, Event::Changed { key, value: Some(2) } if key.as_str() == "b"),
        "{event:?}"
    );
}

/// A store with these rows in the table of facts.
async fn store_with(rows: &[(&'static str, &'static [u8])]) -> Arc<MemoryStorage> {
    let storage = MemoryStorage::new();
    let writes = rows.iter().map(|(key, value)| Write::Put {
        table: Table::Meta,
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(value),
    });
    let batch = Batch {
        precondition: None,
        writes: writes.collect(),
    };
    storage.apply(batch).await.unwrap();
    Arc::new(storage)
}

#[tokio::test]
async fn a_store_of_a_later_program_is_refused_by_its_version_whatever_else_it_holds() {
    // The rows before that of the layout, in the order of keys, have a form of their own.
    let layout_2 = &[0x81, 2];
    let storage = store_with(&[("clock", b"text"), ("cursor/", b""), ("format", layout_2)]).await;
    let builder = GridBuilder::new().runtime(runtime());
    let error = builder.storage_backend(storage).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Version, "{error}");
    for version in ["layout 2", "layout 1"] {
        assert!(error.message().contains(version), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_row_is_named_with_what_to_do() {
    let storage = store_with(&[("clock", b"text"), ("format", &[0x81, 1])]).await;
    let builder = GridBuilder::new().runtime(runtime());
    let error = builder.storage_backend(storage).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    for part in ["restore the store", "table: meta", "key: clock"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}
