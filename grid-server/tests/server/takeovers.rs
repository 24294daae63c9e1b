//! What else happens while a partition goes from one server to another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::protocol::{Message, Read, ReadTarget, RejectReason, Selector, ViewId};
use grid_core::traits::{
    AddressedRecord, Append, Journal, Persistence, Position, RecordCursor, RecordPage, StateRecord,
};
use grid_core::{ErrorKind, History, Key, MapName, PartitionId, Result};
use grid_server::{LocalOwnership, Server};
use grid_testkit::hooks::{HookedJournal, HookedPersistence, JournalHooks, PersistenceHooks};

use super::faulty::{FaultyPersistence, Mode, faulty_journal, faulty_persistence};
use super::meanwhile::Meanwhile;
use super::owners::{PARTITIONS, batches, give_all_to, give_to, two, value};
use super::support::{Client, World, address, cbor, run};

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

/// A server that clients reach becomes the owner of what another one has written, and cannot load
/// it: its database answers nothing.
struct Expecting {
    persistence: Arc<FaultyPersistence>,
    owners: LocalOwnership,
    here: Server,
    _there: Server,
}

impl Expecting {
    async fn new(world: &mut World) -> Self {
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let owners = LocalOwnership::new();
        let (here, there) = two(world, &owners, false).await;
        give_all_to(&owners, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        there.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        persistence.hooks().unreadable.store(true, Ordering::SeqCst);
        give_all_to(&owners, "first").await;
        world.sleep(Duration::from_millis(100)).await;
        let expecting = Self {
            persistence,
            owners,
            here,
            _there: there,
        };
        let error = value(&expecting.here, "k").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        expecting
    }
}

async fn follow(client: &mut Client) -> ViewId {
    let (all, none) = (Selector::All, Vec::new());
    client.subscribe("m", all, History(0), none).await
}

async fn read(client: &mut Client, request: u32) -> Message {
    client
        .send(&Message::Read(Read {
            request,
            map: MapName::new("m").unwrap(),
            target: ReadTarget::Key(Key::new("k").unwrap()),
        }))
        .await;
    let answer = |message: &Message| match message {
        Message::SubscribeRefused(refused) if refused.request == request => Some(message.clone()),
        Message::ReadResult(result) if result.request == request => Some(message.clone()),
        _ => None,
    };
    client.wait_for(answer).await
}

#[test]
fn clients_stay_connected_while_a_partition_is_taken_over() {
    run(|mut world| async move {
        let expecting = Expecting::new(&mut world).await;
        let mut client = world.client().await;
        let view = follow(&mut client).await;
        let op = world.put(9, 1, "m", "k", b"2");
        client.push(vec![op.clone()]).await;
        assert_eq!(client.deferred().await.from, 1);
        let Message::SubscribeRefused(refused) = read(&mut client, 7).await else {
            panic!("nobody knows what it reads");
        };
        assert_eq!(refused.reason, RejectReason::Unavailable);

        let hooks = expecting.persistence.hooks();
        hooks.unreadable.store(false, Ordering::SeqCst);
        let delta = client.wait_for(|message| match message {
            Message::Delta(delta) if delta.view == view => Some(delta.clone()),
            _ => None,
        });
        assert_eq!(delta.await.records[0].value, Some(cbor(b"1")));
        client.resume(vec![op]).await;
        client.acks(1).await;
        let Message::ReadResult(result) = read(&mut client, 8).await else {
            panic!("it is served");
        };
        assert_eq!(result.records[0].value, Some(cbor(b"2")));
    });
}

#[test]
fn who_waits_for_a_partition_that_another_server_gets_meanwhile_is_sent_there() {
    run(|mut world| async move {
        let expecting = Expecting::new(&mut world).await;
        let mut client = world.client().await;
        follow(&mut client).await;
        client.answer_pings(Duration::from_secs(5)).await;
        give_all_to(&expecting.owners, "second").await;
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("it waits for what never comes");
        };
        assert_eq!(goodbye.code, 3, "it may come back: {goodbye:?}");
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
