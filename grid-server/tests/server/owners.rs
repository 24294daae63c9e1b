//! Several servers on one journal, one database and one ownership table.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use grid_core::partition::Effects;
use grid_core::protocol::{Message, Selector};
use grid_core::traits::{
    Epoch, Journal, JournalExtent, Owner, Ownership, OwnershipWatch, Position,
};
use grid_core::{Error, ErrorKind, Key, PartitionId, Result, Sequence};
use grid_server::{LocalOwnership, MemoryJournal, Server};
use grid_testkit::hooks::{HookedJournal, JournalHooks};
use tokio::sync::watch;

use super::faulty::{FaultyPersistence, faulty_persistence};
use super::meanwhile::Meanwhile;
use super::support::{World, address, cbor, run, welcome_of};

pub(crate) const PARTITIONS: u16 = 13;

/// A table of which its holder hears nothing new.
#[derive(Debug)]
struct Deaf(LocalOwnership);

#[async_trait]
impl Ownership for Deaf {
    async fn owner(&self, partition: PartitionId) -> Result<Option<Owner>> {
        self.0.owner(partition).await
    }

    async fn change(&self, id: PartitionId, expected: Option<&Owner>, next: Owner) -> Result<()> {
        self.0.change(id, expected, next).await
    }

    async fn watch(&self) -> Result<Box<dyn OwnershipWatch>> {
        Ok(Box::new(Silence))
    }
}

#[derive(Debug)]
struct Silence;

#[async_trait]
impl OwnershipWatch for Silence {
    async fn next(&mut self) -> Result<(PartitionId, Owner)> {
        std::future::pending().await
    }
}

/// A table to which the connection can be cut: then nothing is heard or read.
#[derive(Debug, Clone)]
struct Remote {
    inner: LocalOwnership,
    is_cut: Arc<watch::Sender<bool>>,
}

impl Remote {
    fn of(inner: &LocalOwnership) -> Self {
        Self {
            inner: inner.clone(),
            is_cut: Arc::new(watch::Sender::new(false)),
        }
    }

    fn check(&self) -> Result<()> {
        if *self.is_cut.borrow() {
            return Err(cut());
        }
        Ok(())
    }
}

fn cut() -> Error {
    Error::new(ErrorKind::Unavailable, "reach owners", "the line is cut")
}

#[async_trait]
impl Ownership for Remote {
    async fn owner(&self, partition: PartitionId) -> Result<Option<Owner>> {
        self.check()?;
        self.inner.owner(partition).await
    }

    async fn change(&self, id: PartitionId, expected: Option<&Owner>, next: Owner) -> Result<()> {
        self.check()?;
        self.inner.change(id, expected, next).await
    }

    async fn watch(&self) -> Result<Box<dyn OwnershipWatch>> {
        self.check()?;
        Ok(Box::new(RemoteWatch {
            inner: self.inner.watch().await?,
            is_cut: self.is_cut.subscribe(),
        }))
    }
}

/// It ends with its line, once and for all.
#[derive(Debug)]
struct RemoteWatch {
    inner: Box<dyn OwnershipWatch>,
    is_cut: watch::Receiver<bool>,
}

#[async_trait]
impl OwnershipWatch for RemoteWatch {
    async fn next(&mut self) -> Result<(PartitionId, Owner)> {
        let heard = self.inner.next();
        let ended = Box::pin(self.is_cut.wait_for(|is_cut| *is_cut));
        match select(ended, heard).await {
            Either::Left(_) => Err(cut()),
            Either::Right((heard, _)) => heard,
        }
    }
}

/// Starts `first`, which has the listener, and then `second`, which has none.
pub(crate) async fn two(world: &World, owners: &LocalOwnership, is_deaf: bool) -> (Server, Server) {
    let ownership: Arc<dyn Ownership> = if is_deaf {
        Arc::new(Deaf(owners.clone()))
    } else {
        Arc::new(owners.clone())
    };
    two_of_which_one_hears(world, owners, ownership).await
}

/// As [`two`], of which `first` sees the table through `ownership`.
async fn two_of_which_one_hears(
    world: &World,
    owners: &LocalOwnership,
    ownership: Arc<dyn Ownership>,
) -> (Server, Server) {
    let builder = world.builder().ownership(ownership).node("first");
    let first = world.start_with(builder).await;
    let builder = world.builder().ownership(Arc::new(owners.clone()));
    let second = builder.node("second").start().await.unwrap();
    (first, second)
}

pub(crate) async fn give_to(owners: &LocalOwnership, partition: PartitionId, node: &str) {
    let before = owners.owner(partition).await.unwrap();
    let next = Owner {
        node: node.to_owned(),
        epoch: Epoch(before.as_ref().unwrap().epoch.0 + 1),
    };
    let changed = owners.change(partition, before.as_ref(), next);
    changed.await.unwrap();
}

pub(crate) async fn give_all_to(owners: &LocalOwnership, node: &str) {
    for partition in (0..PARTITIONS).map(PartitionId) {
        give_to(owners, partition, node).await;
    }
}

pub(crate) async fn value(server: &Server, key: &str) -> Result<Option<bytes::Bytes>> {
    let key = Key::new(key).unwrap();
    let record = server.handle().get(&address("m"), &key).await?;
    Ok(record.and_then(|record| record.value))
}

/// The epoch and the effects of every batch in a partition's journal.
pub(crate) async fn batches(world: &World, partition: PartitionId) -> Vec<(Epoch, Effects)> {
    let entries = world.journal.read(partition, Position(0), usize::MAX).await;
    let entries = entries.unwrap().into_iter();
    entries
        .map(|entry| (entry.epoch, Effects::decode(&entry.batch).unwrap()))
        .collect()
}

#[test]
fn a_new_owner_fences_the_old_one_before_it_serves_what_that_one_wrote() {
    run(|world| async move {
        let owners = LocalOwnership::new();
        let (first, second) = two(&world, &owners, false).await;
        let error = value(&second, "k").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "it owns nothing yet");
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "k", b"1")]).await;
        let ack = client.acks(1).await.remove(0);
        let view = Selector::All;
        let history = grid_core::History(0);
        client.subscribe("m", view, history, Vec::new()).await;

        give_all_to(&owners, "second").await;
        // Who follows is told to go elsewhere, and nobody is let in any more.
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("no goodbye");
        };
        assert_eq!(goodbye.code, 3, "it may come back: {goodbye:?}");
        assert_eq!(
            value(&first, "k").await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        world.sleep(Duration::from_millis(100)).await;
        assert_eq!(value(&second, "k").await.unwrap(), Some(cbor(b"1")));
        let written = batches(&world, ack.partition).await;
        let kinds: Vec<(u64, bool)> = written
            .iter()
            .map(|(epoch, effects)| (epoch.0, effects.begins_epoch()))
            .collect();
        assert_eq!(kinds, [(1, true), (1, false), (2, true)]);
        let (map, key) = (address("m"), Key::new("k").unwrap());
        let put = second.handle().put(&map, &key, cbor(b"2")).await.unwrap();
        assert_eq!(put.sequence, Sequence(ack.sequence.0 + 2));
    });
}

#[test]
fn an_owner_that_has_not_heard_of_its_successor_acknowledges_nothing_more() {
    run(|mut world| async move {
        world.settings.workers = 1;
        let owners = LocalOwnership::new();
        let (first, second) = two(&world, &owners, true).await;
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "k", b"1")]).await;
        let partition = client.acks(1).await[0].partition;
        give_all_to(&owners, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        // It still believes that it is the owner.
        assert_eq!(value(&first, "k").await.unwrap(), Some(cbor(b"1")));
        let op = world.put(9, 2, "m", "k", b"2");
        client.push(vec![op.clone()]).await;
        client.deferred().await;
        client.resume(vec![op]).await;
        let deferred = client.deferred().await;
        assert!(deferred.message.contains("another owner"), "{deferred:?}");
        // By now it has read who has written, and refuses whatever comes.
        assert_eq!(
            value(&first, "k").await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        world.sleep(Duration::from_secs(5)).await;
        assert_eq!(
            value(&first, "k").await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        assert_eq!(value(&second, "k").await.unwrap(), Some(cbor(b"1")));
        let last = batches(&world, partition).await.pop().unwrap();
        assert!(last.1.begins_epoch(), "{last:?}");
    });
}

#[test]
fn an_owner_learns_of_its_successor_from_a_client_that_has_been_there() {
    run(|mut world| async move {
        world.settings.workers = 1;
        let owners = LocalOwnership::new();
        let (first, second) = two(&world, &owners, true).await;
        give_all_to(&owners, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        let put = second.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        assert_eq!(
            value(&first, "k").await.unwrap(),
            None,
            "it has heard of nothing"
        );
        let mut client = world.connect().await;
        client.send(&super::support::hello(world.now_ms())).await;
        let welcome = welcome_of(client.next().await);
        let cursor = vec![(put.partition, put.sequence)];
        client
            .subscribe("m", Selector::All, welcome.history, cursor)
            .await;
        // First of all: else it was sent back to an older state.
        let Message::Goodbye(goodbye) = client.next().await else {
            panic!("the client was sent back to an older state");
        };
        assert_eq!(goodbye.code, 3, "{goodbye:?}");
        assert_eq!(
            value(&first, "k").await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    });
}

#[test]
fn who_gets_a_partition_back_serves_what_was_written_meanwhile() {
    run(|mut world| async move {
        world.persistence = faulty_persistence();
        let owners = LocalOwnership::new();
        let (first, second) = two(&world, &owners, false).await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        first.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        give_all_to(&owners, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        second.handle().put(&map, &key, cbor(b"2")).await.unwrap();
        give_all_to(&owners, "first").await;
        world.sleep(Duration::from_millis(100)).await;
        assert_eq!(value(&first, "k").await.unwrap(), Some(cbor(b"2")));
        first.handle().put(&map, &key, cbor(b"3")).await.unwrap();
        // At once there and back: the first one sees only that it is the owner again.
        give_all_to(&owners, "second").await;
        give_all_to(&owners, "first").await;
        world.sleep(Duration::from_millis(100)).await;
        assert_eq!(value(&first, "k").await.unwrap(), Some(cbor(b"3")));
        assert_eq!(
            value(&second, "k").await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        // What both wrote behind is what a third one finds.
        first.shutdown().await.unwrap();
        second.shutdown().await.unwrap();
        give_all_to(&owners, "third").await;
        let builder = world.builder().ownership(Arc::new(owners.clone()));
        let third = builder.node("third").start().await.unwrap();
        assert_eq!(value(&third, "k").await.unwrap(), Some(cbor(b"3")));
    });
}

/// A takeover that waits for its database: the former owner has written `k`, and the new one can
/// load nothing.
struct Stalled {
    persistence: Arc<FaultyPersistence>,
    owners: LocalOwnership,
    _former: Server,
    next: Server,
}

impl Stalled {
    async fn new(world: &mut World) -> Self {
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let owners = LocalOwnership::new();
        let (first, second) = two(world, &owners, false).await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        first.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        let stalled = Self {
            persistence,
            owners,
            _former: first,
            next: second,
        };
        stalled.set_unreadable(true);
        give_all_to(&stalled.owners, "second").await;
        stalled
    }

    fn set_unreadable(&self, unreadable: bool) {
        let faults = self.persistence.hooks();
        faults.unreadable.store(unreadable, Ordering::SeqCst);
    }
}

#[test]
fn a_partition_is_taken_over_once_its_database_answers() {
    run(|mut world| async move {
        let stalled = Stalled::new(&mut world).await;
        world.sleep(Duration::from_secs(5)).await;
        assert_eq!(
            value(&stalled.next, "k").await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        stalled.set_unreadable(false);
        world.sleep(Duration::from_secs(31)).await;
        assert_eq!(value(&stalled.next, "k").await.unwrap(), Some(cbor(b"1")));
    });
}

#[test]
fn what_is_given_to_a_node_does_not_wait_for_what_it_could_not_load_before() {
    run(|mut world| async move {
        let stalled = Stalled::new(&mut world).await;
        // By now it tries rarely.
        world.sleep(Duration::from_secs(20)).await;
        stalled.set_unreadable(false);
        give_all_to(&stalled.owners, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        assert_eq!(value(&stalled.next, "k").await.unwrap(), Some(cbor(b"1")));
    });
}

#[test]
fn a_server_hears_of_owners_again_after_its_line_to_their_table_was_cut() {
    run(|world| async move {
        let owners = LocalOwnership::new();
        let remote = Remote::of(&owners);
        let ownership = Arc::new(remote.clone());
        let (first, second) = two_of_which_one_hears(&world, &owners, ownership).await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        for round in 0..2u8 {
            let before = first.handle().put(&map, &key, cbor(&[round])).await;
            before.unwrap();
            remote.is_cut.send_replace(true);
            world.sleep(Duration::from_secs(5)).await;
            give_all_to(&owners, "second").await;
            world.sleep(Duration::from_secs(5)).await;
            // It may serve reads until it hears of it.
            assert_eq!(value(&first, "k").await.unwrap(), Some(cbor(&[round])));
            remote.is_cut.send_replace(false);
            world.sleep(Duration::from_secs(31)).await;
            let lost = value(&first, "k").await.unwrap_err();
            assert_eq!(lost.kind(), ErrorKind::Unavailable);
            assert_eq!(value(&second, "k").await.unwrap(), Some(cbor(&[round])));
            // What comes next is heard at once.
            give_all_to(&owners, "first").await;
            world.sleep(Duration::from_millis(100)).await;
            assert_eq!(value(&first, "k").await.unwrap(), Some(cbor(&[round])));
        }
    });
}

/// The journal tells of an owner before the ownership table does.
#[test]
fn who_waits_for_a_partition_to_which_another_server_has_written_is_sent_there() {
    run(|mut world| async move {
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let owners = LocalOwnership::new();
        let remote = Remote::of(&owners);
        let ownership = Arc::new(remote.clone());
        let (_first, second) = two_of_which_one_hears(&world, &owners, ownership).await;
        give_all_to(&owners, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        second.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        let unreadable = &persistence.hooks().unreadable;
        unreadable.store(true, Ordering::SeqCst);
        give_all_to(&owners, "first").await;
        // By now it tries rarely.
        world.sleep(Duration::from_secs(20)).await;
        let mut client = world.client().await;
        let (all, none) = (Selector::All, Vec::new());
        client
            .subscribe("m", all, grid_core::History(0), none)
            .await;
        remote.is_cut.send_replace(true);
        unreadable.store(false, Ordering::SeqCst);
        give_all_to(&owners, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        assert_eq!(value(&second, "k").await.unwrap(), Some(cbor(b"1")));
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("it waits for what never comes");
        };
        assert_eq!(goodbye.code, 3, "it may come back: {goodbye:?}");
    });
}

/// Something happens when somebody looks how far the journal reaches.
#[derive(Debug, Default)]
struct AtExtent(Meanwhile);

#[async_trait]
impl JournalHooks for AtExtent {
    async fn extent(&self, inner: &dyn Journal, partition: PartitionId) -> Result<JournalExtent> {
        self.0.happens().await;
        inner.extent(partition).await
    }
}

#[test]
fn a_takeover_while_the_former_owner_stores_and_truncates_loads_again() {
    run(|mut world| async move {
        let journal = MemoryJournal::new();
        world.journal = Arc::new(journal.clone());
        world.persistence = faulty_persistence();
        world.settings.flush_interval_ms = 60_000;
        let owners = LocalOwnership::new();
        let builder = world.builder().ownership(Arc::new(Deaf(owners.clone())));
        let first = world.start_with(builder.node("first")).await;
        let racing = Arc::new(HookedJournal::new(Arc::new(journal), AtExtent::default()));
        let builder = world.builder().ownership(Arc::new(owners.clone()));
        let builder = builder.journal(racing.clone());
        let second = builder.node("second").start().await.unwrap();
        let (map, key) = (address("m"), Key::new("k").unwrap());
        let put = first.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        // Its last flush comes after the state record was loaded, and before the journal is read.
        let last = async move { first.shutdown().await.unwrap() };
        racing.hooks().0.prepare(last).await;
        give_to(&owners, put.partition, "second").await;
        // At once: it does not take the journal for that of another database.
        world.sleep(Duration::from_millis(40)).await;
        assert_eq!(value(&second, "k").await.unwrap(), Some(cbor(b"1")));
    });
}
