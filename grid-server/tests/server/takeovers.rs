//! What else happens while a partition goes from one server to another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::traits::{
    AddressedRecord, Append, Journal, Persistence, Position, RecordCursor, RecordPage, StateRecord,
};
use grid_core::{ErrorKind, Key, PartitionId, Result};
use grid_server::{LocalOwnership, Server};
use grid_testkit::hooks::{HookedJournal, HookedPersistence, JournalHooks, PersistenceHooks};

use super::faulty::{Mode, faulty_journal, faulty_persistence};
use super::meanwhile::Meanwhile;
use super::owners::{PARTITIONS, batches, give_all_to, give_to, two, value};
use super::support::{address, cbor, run};

/// Where the journal keeps the identity of the data set.
const IDENTITY: PartitionId = PartitionId::IDENTITY;

/// Something happens before the identity of the data set is written.
#[derive(Debug)]
struct BeforeIdentity(Meanwhile);

#[async_trait]
impl JournalHooks for BeforeIdentity {
    async fn append(&self, inner: &dyn Journal, appends: Vec<Append>) -> Vec<Result<Position>> {
        if appends.iter().any(|append| append.partition == IDENTITY) {
            self.0.happens().await;
        }
        inner.append(appends).await
    }
}

#[test]
fn two_servers_that_start_at_once_on_an_empty_journal_make_one_data_set() {
    run(|world| async move {
        let owners = Arc::new(LocalOwnership::new());
        let other = world.builder().ownership(owners.clone()).node("second");
        let second = Arc::<Mutex<Option<Server>>>::default();
        let slot = second.clone();
        let meanwhile = Meanwhile::new(async move {
            let started = other.start().await.unwrap();
            *slot.lock().unwrap() = Some(started);
        });
        let journal = HookedJournal::new(world.journal.clone(), BeforeIdentity(meanwhile));
        let builder = world.builder().ownership(owners.clone()).node("first");
        let late = builder.journal(Arc::new(journal)).start().await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
        let builder = world.builder().ownership(owners.clone()).node("first");
        let first = builder.start().await.unwrap();
        let second = second.lock().unwrap().take().unwrap();
        assert_eq!(first.history(), second.history());
    });
}

/// Records are stored late: not while somebody holds the gate.
#[derive(Debug, Default)]
struct LateRecords {
    gate: tokio::sync::Mutex<()>,
    stored: AtomicUsize,
}

#[async_trait]
impl PersistenceHooks for LateRecords {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        if !records.is_empty() {
            let _open = self.gate.lock().await;
            self.stored.fetch_add(records.len(), Ordering::SeqCst);
        }
        inner.store(partition, records, state).await
    }
}

#[test]
fn what_a_former_owner_stores_late_replaces_nothing_of_its_successor() {
    run(|mut world| async move {
        world.persistence = faulty_persistence();
        let late = HookedPersistence::new(world.persistence.clone(), LateRecords::default());
        let late = Arc::new(late);
        let owners = LocalOwnership::new();
        let builder = world.builder().ownership(Arc::new(owners.clone()));
        let builder = builder.persistence(late.clone()).node("first");
        let first = builder.start().await.unwrap();
        let builder = world.builder().ownership(Arc::new(owners.clone()));
        let second = builder.node("second").start().await.unwrap();
        let flushed = Duration::from_millis(2 * world.settings.flush_interval_ms);
        let late = late.hooks();
        let held = late.gate.lock().await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        let put = first.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        world.sleep(flushed).await;
        give_to(&owners, put.partition, "second").await;
        world.sleep(flushed).await;
        let extent = world.journal.extent(put.partition).await.unwrap();
        assert_eq!(extent.truncated, extent.tail, "its successor has stored");
        drop(held);
        world.sleep(flushed).await;
        assert_eq!(late.stored.load(Ordering::SeqCst), 1);
        second.shutdown().await.unwrap();
        give_all_to(&owners, "third").await;
        let builder = world.builder().ownership(Arc::new(owners.clone()));
        // Else the database was where the journal does not reach back to.
        let third = builder.node("third").start().await.unwrap();
        assert_eq!(value(&third, "k").await.unwrap(), Some(cbor(b"1")));
        drop(first);
    });
}

#[test]
fn an_epoch_record_of_which_nobody_is_told_is_there_once() {
    run(|mut world| async move {
        let journal = faulty_journal();
        world.journal = journal.clone();
        let owners = LocalOwnership::new();
        let (first, second) = two(&world, &owners, false).await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        let put = first.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        let epochs = || async {
            let written = batches(&world, put.partition).await;
            let begun = written.iter().filter(|(_, effects)| effects.begins_epoch());
            begun.map(|(epoch, _)| epoch.0).collect::<Vec<u64>>()
        };
        journal.hooks().set(Mode::SilentlyWritten);
        give_to(&owners, put.partition, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        assert_eq!(value(&second, "k").await.unwrap(), Some(cbor(b"1")));
        assert_eq!(epochs().await, [1, 2]);

        journal.hooks().set(Mode::SilentlyLost);
        give_to(&owners, put.partition, "first").await;
        world.sleep(Duration::from_secs(1)).await;
        let unserved = value(&first, "k").await.unwrap_err();
        assert_eq!(unserved.kind(), ErrorKind::Unavailable);
        journal.hooks().set(Mode::Well);
        world.sleep(Duration::from_secs(31)).await;
        assert_eq!(value(&first, "k").await.unwrap(), Some(cbor(b"1")));
        assert_eq!(epochs().await, [1, 2, 3]);
    });
}

/// Something happens when the last partition is loaded.
#[derive(Debug)]
struct AtLastLoad(Meanwhile);

#[async_trait]
impl PersistenceHooks for AtLastLoad {
    async fn load(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        if partition.0 == PARTITIONS - 1 {
            self.0.happens().await;
        }
        inner.load(partition, after, limit).await
    }
}

#[test]
fn what_a_server_loses_while_it_starts_it_does_not_serve() {
    run(|world| async move {
        let owners = LocalOwnership::new();
        let table = owners.clone();
        let meanwhile = Meanwhile::new(async move { give_all_to(&table, "second").await });
        let persistence = HookedPersistence::new(world.persistence.clone(), AtLastLoad(meanwhile));
        let builder = world.builder().ownership(Arc::new(owners.clone()));
        let builder = builder.persistence(Arc::new(persistence)).node("first");
        let first = builder.start().await.unwrap();
        world.sleep(Duration::from_millis(1)).await;
        let refused = value(&first, "k").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
    });
}
