//! States that a former process has sent, and that arrive when a later one has stored more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::partition::{Partition, PartitionConfig, TableSeed};
use grid_core::traits::{AddressedRecord, Journal, Persistence, Position, StateRecord};
use grid_core::{DigestKey, Hlc, PartitionId, Result};
use grid_server::MemoryJournal;
use grid_testkit::hooks::{HookedJournal, HookedPersistence, JournalHooks, PersistenceHooks};

use super::dead_letters::{get, settled};
use super::faulty::{FaultyPersistence, faulty_persistence};
use super::support::{Client, World, cbor, run};

/// The one partition.
const PARTITION: PartitionId = PartitionId(0);
/// Longer than what a test waits for.
const NEVER_MS: u64 = 3_600_000;

/// Calls that are on their way for as long as the test likes.
#[derive(Debug, Default)]
struct Held {
    holds: AtomicBool,
    calls: Mutex<Vec<(Vec<AddressedRecord>, StateRecord)>>,
}

#[async_trait]
impl PersistenceHooks for Held {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        if partition == PARTITION && self.holds.load(Ordering::SeqCst) {
            let call = (records.to_vec(), state.clone());
            self.calls.lock().unwrap().push(call);
            std::future::pending::<()>().await;
        }
        inner.store(partition, records, state).await
    }
}

/// A journal that keeps everything, as it may.
#[derive(Debug)]
struct KeepsAll;

#[async_trait]
impl JournalHooks for KeepsAll {
    async fn truncate(&self, _: &dyn Journal, _: PartitionId, _: Position) -> Result<()> {
        Ok(())
    }
}

fn prepare(world: &mut World) -> (Arc<FaultyPersistence>, Arc<HookedPersistence<Held>>) {
    world.settings.workers = 1;
    world.settings.partition_count = 1;
    world.settings.map_spread = 1;
    let database = faulty_persistence();
    let held = Arc::new(HookedPersistence::new(database.clone(), Held::default()));
    world.persistence = held.clone();
    (database, held)
}

/// Writes `k`, the first change of all.
async fn put(world: &World, client: &mut Client) {
    client.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
    client.acks(1).await;
}

/// A write that loses: it takes no sequence.
async fn lose(world: &World, client: &mut Client, run: u64) {
    let mut loser = world.put(run, 1, "m", "k", b"late");
    loser.hlc = Hlc::new(1, 0);
    client.push(vec![loser]).await;
    client.acks(1).await;
}

/// Everything up to where the journal was trimmed, and its end.
async fn extent(world: &World) -> (u64, u64) {
    let extent = world.journal.extent(PARTITION).await.unwrap();
    (extent.truncated.0, extent.tail.0)
}

/// How many changes of entries the partition has gone through by a state.
fn changes(state: &StateRecord) -> u64 {
    let config = PartitionConfig {
        id: PARTITION,
        history: state.history,
        digest_key: DigestKey(0),
        seed: TableSeed(0, 0),
    };
    Partition::restore(config, state).unwrap().0.change_count()
}

/// Starts with the database, or without it first.
async fn start(world: &World, database: &FaultyPersistence, away: bool) -> grid_server::Server {
    database.hooks().away.store(away, Ordering::SeqCst);
    let server = world.start().await;
    database.hooks().away.store(false, Ordering::SeqCst);
    settled(world, &server).await;
    // Until the start is complete.
    world.sleep(Duration::from_secs(10)).await;
    server
}

/// What a process was storing when it was killed; the database has nothing of it yet.
async fn killed_while_storing(
    world: &World,
    held: &HookedPersistence<Held>,
) -> (Vec<AddressedRecord>, StateRecord) {
    let server = world.start().await;
    held.hooks().holds.store(true, Ordering::SeqCst);
    put(world, &mut world.client().await).await;
    let is_sent = || !held.hooks().calls.lock().unwrap().is_empty();
    world.wait_until("nothing is stored", is_sent).await;
    world.kill(server);
    held.hooks().holds.store(false, Ordering::SeqCst);
    held.hooks().calls.lock().unwrap().remove(0)
}

#[test]
fn a_state_of_a_killed_process_takes_the_place_of_none_that_a_later_one_lets_the_journal_go_for() {
    for away in [false, true] {
        run(move |mut world| async move {
            let (database, held) = prepare(&mut world);
            let (records, late) = killed_while_storing(&world, &held).await;
            let server = start(&world, &database, away).await;
            assert_eq!(extent(&world).await, (1, 1));
            let mut client = world.client().await;
            lose(&world, &mut client, 8).await;
            client.answer_pings(Duration::from_secs(5)).await;
            // An epoch record, with which nothing of the former process compares.
            assert_eq!(extent(&world).await, (3, 3));
            let latest = database.load_state(PARTITION).await.unwrap().unwrap();
            assert!(latest.sequence > late.sequence);
            database.store(PARTITION, &records, &late).await.unwrap();
            let found = database.load_state(PARTITION).await.unwrap();
            assert_eq!(changes(&latest), 1);
            assert_eq!(found, Some(latest));
            // Once is enough.
            lose(&world, &mut client, 7).await;
            client.answer_pings(Duration::from_secs(5)).await;
            assert_eq!(extent(&world).await, (4, 4));
            drop(client);
            world.kill(server);
            let server = start(&world, &database, false).await;
            assert_eq!(get(&server, "k").await, Some(cbor(b"v").to_vec()));
            assert_eq!(extent(&world).await, (4, 4));
        });
    }
}

#[test]
fn a_state_of_a_killed_process_that_is_stored_finds_the_journal_that_it_needs() {
    for away in [false, true] {
        run(move |mut world| async move {
            let (database, held) = prepare(&mut world);
            let housekeeping_ms = std::mem::replace(&mut world.settings.housekeeping_ms, NEVER_MS);
            let (records, late) = killed_while_storing(&world, &held).await;
            let server = start(&world, &database, away).await;
            let mut client = world.client().await;
            lose(&world, &mut client, 8).await;
            client.answer_pings(Duration::from_secs(5)).await;
            let latest = database.load_state(PARTITION).await.unwrap().unwrap();
            assert_eq!(latest.sequence, late.sequence);
            assert_ne!(latest.data, late.data);
            assert_eq!(extent(&world).await, (1, 2));
            database.store(PARTITION, &records, &late).await.unwrap();
            drop(client);
            world.kill(server);

            world.settings.housekeeping_ms = housekeeping_ms;
            let server = start(&world, &database, false).await;
            assert_eq!(get(&server, "k").await, Some(cbor(b"v").to_vec()));
            assert_eq!(extent(&world).await, (3, 3));
        });
    }
}

#[test]
fn a_start_does_not_trim_what_a_state_before_the_one_that_it_finds_would_need() {
    for away in [false, true] {
        run(move |mut world| async move {
            let (database, _held) = prepare(&mut world);
            // The journal keeps everything.
            database.hooks().is_lazy.store(true, Ordering::SeqCst);
            let server = world.start().await;
            let mut client = world.client().await;
            put(&world, &mut client).await;
            client.answer_pings(Duration::from_secs(3)).await;
            let late = database.load_state(PARTITION).await.unwrap().unwrap();
            lose(&world, &mut client, 8).await;
            client.answer_pings(Duration::from_secs(3)).await;
            drop(client);
            world.kill(server);
            database.hooks().is_lazy.store(false, Ordering::SeqCst);

            let housekeeping_ms = std::mem::replace(&mut world.settings.housekeeping_ms, NEVER_MS);
            let server = start(&world, &database, away).await;
            assert_eq!(extent(&world).await, (0, 2));
            database.store(PARTITION, &[], &late).await.unwrap();
            world.kill(server);
            world.settings.housekeeping_ms = housekeeping_ms;
            let server = start(&world, &database, away).await;
            assert_eq!(get(&server, "k").await, Some(cbor(b"v").to_vec()));
            // At rest: what was stored last goes with an epoch record now.
            assert_eq!(extent(&world).await, (3, 3));
        });
    }
}

#[test]
fn a_start_trims_what_no_late_state_can_need_and_journals_nothing_for_it() {
    for away in [false, true] {
        run(move |mut world| async move {
            let (database, _held) = prepare(&mut world);
            database.hooks().is_lazy.store(true, Ordering::SeqCst);
            let server = world.start().await;
            let mut client = world.client().await;
            for number in 1..=3 {
                client
                    .push(vec![world.put(9, number, "m", "k", b"v")])
                    .await;
                client.acks(1).await;
            }
            client.answer_pings(Duration::from_secs(3)).await;
            drop(client);
            world.kill(server);
            database.hooks().is_lazy.store(false, Ordering::SeqCst);
            let stores = database.hooks().stores.load(Ordering::SeqCst);
            for _ in 0..3 {
                let server = start(&world, &database, away).await;
                assert_eq!(extent(&world).await, (3, 3));
                assert_eq!(database.hooks().stores.load(Ordering::SeqCst), stores);
                world.kill(server);
            }
        });
    }
}

#[test]
fn a_partition_at_rest_gets_one_epoch_record_and_no_more_with_further_starts() {
    run(|mut world| async move {
        let (database, _held) = prepare(&mut world);
        // A mark is due after a 64th of it.
        world.settings.retention_ms = 64 * 60_000;
        let memory = Arc::new(MemoryJournal::new());
        world.journal = Arc::new(HookedJournal::new(memory, KeepsAll));
        let server = world.start().await;
        let mut client = world.client().await;
        put(&world, &mut client).await;
        lose(&world, &mut client, 8).await;
        client.answer_pings(Duration::from_secs(5)).await;
        // What this process sent it has answers to.
        assert_eq!(extent(&world).await, (0, 2));
        drop(client);
        world.kill(server);
        let mut stores = None;
        for _ in 0..4 {
            let server = start(&world, &database, false).await;
            assert_eq!(extent(&world).await, (0, 3));
            // Long enough for a mark of the horizon to be due.
            world.sleep(Duration::from_secs(120)).await;
            assert_eq!(extent(&world).await, (0, 3));
            let counted = database.hooks().stores.load(Ordering::SeqCst);
            assert_eq!(*stores.get_or_insert(counted), counted);
            world.kill(server);
        }
    });
}
