//! Names in memory: who may open them, and what an opening finds.

use bytes::Bytes;
use grid_core::traits::{
    AddressedRecord, Batch, Persistence, Precondition, StateRecord, Storage, Table, Write,
};
use grid_core::{
    DriverKind, ErrorKind, History, Key, MapAddress, MapName, Namespace, PartitionId, Record,
    Registry, Result, Sequence, Stamp,
};
use grid_storage_memory::{DRIVER, MemoryPersistence, MemoryStorage};
use grid_testkit::block_on;

fn put(key: &'static str) -> Batch {
    Batch {
        precondition: None,
        writes: vec![Write::Put {
            table: Table::Meta,
            key: Bytes::from(key),
            value: Bytes::from(key),
        }],
    }
}

async fn has(store: &MemoryStorage, key: &str) -> Result<bool> {
    let value = store.get(&Table::Meta, key.as_bytes()).await?;
    Ok(value.is_some())
}

#[test]
fn a_name_keeps_its_data_over_close_and_drop() -> Result<()> {
    block_on(async {
        let store = MemoryStorage::open("memory:kept")?;
        store.apply(put("one")).await?;
        store.close().await?;
        let store = MemoryStorage::open("memory:kept")?;
        store.apply(put("two")).await?;
        drop(store);
        let store = MemoryStorage::open("memory:kept")?;
        assert!(has(&store, "one").await? && has(&store, "two").await?);
        let other = MemoryStorage::open("memory:kept as well")?;
        assert!(!has(&other, "one").await?);
        Ok(())
    })
}

#[test]
fn without_a_name_every_opening_is_fresh() -> Result<()> {
    block_on(async {
        let first = MemoryStorage::open("memory:")?;
        first.apply(put("one")).await?;
        let second = MemoryStorage::open("memory:")?;
        assert!(!has(&second, "one").await?);
        assert!(!first.capabilities().exclusive);
        Ok(())
    })
}

#[test]
fn a_take_over_fences_the_one_before() -> Result<()> {
    block_on(async {
        let first = MemoryStorage::new();
        first.apply(put("one")).await?;
        let second = first.take_over();
        let late = first.apply(put("late")).await;
        assert_eq!(late.err().map(|e| e.kind()), Some(ErrorKind::Closed));
        assert!(has(&second, "one").await? && !has(&second, "late").await?);
        drop(first);
        second.apply(put("two")).await?;
        assert!(has(&second, "two").await?);
        Ok(())
    })
}

#[test]
fn persistence_names_are_exclusive_and_apart_from_stores() -> Result<()> {
    block_on(async {
        let store = MemoryStorage::open("memory:both")?;
        let first = MemoryPersistence::open("memory:both")?;
        store.apply(put("one")).await?;
        let second = MemoryPersistence::open("memory:both");
        assert_eq!(second.err().map(|e| e.kind()), Some(ErrorKind::Locked));
        let record = AddressedRecord {
            address: MapAddress {
                namespace: Namespace::default(),
                map: MapName::new("todos")?,
            },
            record: Record {
                key: Key::new("k")?,
                value: Some(Bytes::from_static(b"v")),
                stamp: Stamp::ZERO,
                sequence: Sequence(1),
                expires_at_ms: None,
            },
        };
        let state = StateRecord {
            history: History(1),
            sequence: Sequence(1),
            data: Bytes::new(),
        };
        first.store(PartitionId(0), &[record], &state).await?;
        let after_crash = first.take_over();
        let late = first.load_state(PartitionId(0)).await;
        assert_eq!(late.err().map(|e| e.kind()), Some(ErrorKind::Closed));
        assert_eq!(
            after_crash.load_state(PartitionId(0)).await?,
            Some(state.clone())
        );
        drop(after_crash);
        let reopened = MemoryPersistence::open("memory:both")?;
        assert_eq!(
            reopened.load(PartitionId(0), None, 9).await?.records.len(),
            1
        );
        Ok(())
    })
}

#[test]
fn threads_race_for_a_precondition_and_one_wins() {
    let store = MemoryStorage::new();
    for round in 0..200u32 {
        let term = Bytes::from(round.to_be_bytes().to_vec());
        let attempt = || {
            let mut batch = put("winner");
            batch.precondition = Some(Precondition {
                key: term.clone(),
                equals: None,
            });
            batch.writes.push(Write::Put {
                table: Table::Meta,
                key: term.clone(),
                value: Bytes::new(),
            });
            block_on(store.apply(batch)).is_ok()
        };
        let won = std::thread::scope(|scope| {
            let racers = [0; 4].map(|_| scope.spawn(attempt));
            racers.map(|racer| racer.join().unwrap())
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
    }
}

#[test]
fn the_driver_serves_memory_urls() -> Result<()> {
    let registry = Registry::default();
    for kind in [DriverKind::Storage, DriverKind::Persistence] {
        assert_eq!(registry.find(kind, "memory")?.name, DRIVER.name);
    }
    let error = MemoryStorage::open("sqlite://x").err();
    assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::Invalid));
    Ok(())
}
