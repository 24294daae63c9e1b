//! Names of maps and keys that are trouble for some.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::traits::{
    AddressedRecord, Batch, Persistence, RecordCursor, StateRecord, Storage, Table, Write,
};
use grid_core::{
    History, Key, MapAddress, MapName, Namespace, PartitionId, Record, Sequence, Stamp,
};
use hybrid_grid::tokio_runtime::TokioRuntime;
use hybrid_grid::{Grid, registry};

use crate::world::{Site, agree, contents, flushed, soon};

/// Names that differ in what databases, URLs, patterns and normal forms make of them.
fn names() -> Vec<String> {
    let plain = [
        "with-hyphen",
        "dots.in.it",
        "slash/es/",
        "/",
        "..",
        ".",
        "back\\slash",
        "'; DROP TABLE entries; --",
        "\"double\" and 'single' quotes",
        "`ticks` [brackets] {braces}",
        "100%",
        "100%%",
        "under_score",
        "underXscore",
        "*?",
        "caf\u{e9}",
        "cafe\u{301}",
        "Upper",
        "upper",
        " upper ",
        "line\nbreak\r\ttab",
        "\u{feff}mark",
        "\u{202e}right to left",
        "\u{1f980}\u{1f1e8}\u{1f1ed}",
        "\u{10ffff}",
        "\u{7f}\u{1}",
        "cursor/with-hyphen",
        "map/with-hyphen",
        "NULL",
        "0",
        "-1",
        "sqlite_master",
    ];
    plain.iter().map(|name| (*name).to_owned()).collect()
}

fn maps() -> Vec<String> {
    let mut maps = names();
    maps.push("m".repeat(128));
    maps.push("\u{1f980}".repeat(32));
    maps
}

fn keys() -> Vec<String> {
    let mut keys = names();
    keys.push("k".repeat(512));
    keys.push(format!("{}\u{1f980}", "k".repeat(508)));
    keys.push("k".repeat(511));
    keys
}

/// The URLs of a memory and a SQLite backend that keep what they were given.
fn urls(folder: &tempfile::TempDir, what: &str) -> [String; 2] {
    let file = folder.path().join(format!("{what}.db"));
    [
        format!("memory:pitfall-08-{what}-{}", folder.path().display()),
        format!("sqlite://{}", file.display()),
    ]
}

async fn check_storage(storage: &dyn Storage) {
    let table = |map: &str| Table::Records(MapName::new(map).unwrap());
    let value = |map: &str, key: &str| format!("{map}\u{0}{key}").into_bytes();
    for map in maps() {
        let writes = keys().into_iter().map(|key| Write::Put {
            table: table(&map),
            value: value(&map, &key).into(),
            key: key.into(),
        });
        let batch = Batch {
            precondition: None,
            writes: writes.collect(),
        };
        storage.apply(batch).await.unwrap();
    }
    let mut sorted = keys();
    sorted.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    for map in maps() {
        let page = storage.scan(&table(&map), None, 1_000).await.unwrap();
        let found: Vec<_> = page.entries.iter().map(|entry| &entry.key[..]).collect();
        let expected: Vec<_> = sorted.iter().map(String::as_bytes).collect();
        assert_eq!(found, expected, "{map:?} on {storage:?}");
        for key in &sorted {
            let found = storage.get(&table(&map), key.as_bytes()).await.unwrap();
            assert_eq!(found.unwrap(), value(&map, key), "{map:?} {key:?}");
        }
    }
    // What is removed from one map stays in those whose names are like it.
    let batch = Batch {
        precondition: None,
        writes: vec![Write::DeleteRange {
            table: table("100%"),
            from: Vec::new().into(),
            to: None,
        }],
    };
    storage.apply(batch).await.unwrap();
    for map in maps() {
        let page = storage.scan(&table(&map), None, 1_000).await.unwrap();
        let expected = if map == "100%" { 0 } else { sorted.len() };
        assert_eq!(page.entries.len(), expected, "{map:?} on {storage:?}");
    }
}

async fn check_persistence(persistence: &dyn Persistence) {
    let partition = PartitionId(7);
    let mut sequence = 0;
    let mut records = Vec::new();
    for map in maps() {
        for key in keys() {
            sequence += 1;
            records.push(AddressedRecord {
                address: MapAddress {
                    namespace: Namespace::default(),
                    map: MapName::new(map.as_str()).unwrap(),
                },
                record: Record {
                    key: Key::new(&key).unwrap(),
                    value: Some(format!("{map}\u{0}{key}").into_bytes().into()),
                    stamp: Stamp::ZERO,
                    sequence: Sequence(sequence),
                    expires_at_ms: None,
                },
            });
        }
    }
    let state = StateRecord {
        history: History(1),
        sequence: Sequence(sequence),
        data: "state".into(),
    };
    persistence
        .store(partition, &records, &state)
        .await
        .unwrap();
    records.sort_by(|one, other| {
        let place = |each: &AddressedRecord| (each.address.clone(), each.record.key.clone());
        place(one).cmp(&place(other))
    });
    // Page by page, so that every name is a place to go on from.
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|last: &AddressedRecord| RecordCursor {
            address: last.address.clone(),
            key: last.record.key.clone(),
        });
        let page = persistence.load(partition, after.as_ref(), 37).await;
        let page = page.unwrap();
        found.extend(page.records);
        if !page.more {
            break;
        }
    }
    assert_eq!(found.len(), records.len(), "{persistence:?}");
    assert_eq!(found, records, "{persistence:?}");
}

/// Any UTF-8 within the bounds is a name, in the order of its bytes, on every backend.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_08_any_name_works_on_every_backend() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Arc::new(TokioRuntime::current().unwrap());
    for url in urls(&folder, "storage") {
        let storage = registry().open_storage(&url, runtime.clone()).await;
        check_storage(&*storage.unwrap()).await;
    }
    for url in urls(&folder, "persistence") {
        let persistence = registry().open_persistence(&url, runtime.clone()).await;
        check_persistence(&*persistence.unwrap()).await;
    }
}

type Everything = BTreeMap<String, BTreeMap<String, String>>;

fn expected() -> Everything {
    maps()
        .into_iter()
        .map(|map| {
            let entries = keys()
                .into_iter()
                .map(|key| (key.clone(), format!("{map} {key}")));
            let entries = entries.collect();
            (map, entries)
        })
        .collect()
}

fn everything(grid: &Grid) -> Everything {
    let all = maps().into_iter().map(|name| {
        let map = grid.map::<String>(&name).unwrap();
        let order: Vec<String> = map
            .entries()
            .iter()
            .map(|(key, _)| key.to_string())
            .collect();
        assert!(order.is_sorted(), "{name:?}: {order:?}");
        (name, contents(&map))
    });
    all.collect()
}

async fn end_to_end(storage: &str, database: &str) {
    let mut site = Site::new().await;
    site.database(database).await;
    let server = site.start().await;
    let device = site.device().storage(storage).open().await.unwrap();
    for (name, entries) in expected() {
        let map = device.map::<String>(&name).unwrap();
        let batch = map.put_all(entries).await.unwrap();
        let fate = soon("verdicts", batch.acked()).await.unwrap();
        assert_eq!((fate.superseded, fate.rejected.len()), (0, 0), "{name:?}");
    }
    flushed(&device).await;
    device.close().await.unwrap();
    server.shutdown().await.unwrap();

    // The device knows everything on its own, and the server everything from its database.
    let local = Grid::builder().storage(storage).open().await.unwrap();
    assert_eq!(everything(&local), expected(), "{storage}");
    local.close().await.unwrap();
    site.database(database).await;
    let _server = site.start().await;
    let stranger = site.device().open().await.unwrap();
    drop(everything(&stranger));
    flushed(&stranger).await;
    assert_eq!(everything(&stranger), expected(), "{database}");
    // And each name can be removed again.
    let device = site.device().storage(storage).open().await.unwrap();
    let map = device.map::<String>("with-hyphen").unwrap();
    for key in keys() {
        drop(map.remove(&key).await.unwrap());
    }
    let left = agree::<String>(&[&device, &stranger], "with-hyphen").await;
    assert_eq!(left, BTreeMap::new());
    device.close().await.unwrap();
}

/// … and all the way: from one device through server and database to another device.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_08_any_name_works_from_device_to_device() {
    let folder = tempfile::tempdir().unwrap();
    let storages = urls(&folder, "device");
    let databases = urls(&folder, "server");
    end_to_end(&storages[0], &databases[0]).await;
    end_to_end(&storages[1], &databases[1]).await;
}
