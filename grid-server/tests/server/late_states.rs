//! States that a former process has sent, and that arrive when a later one has stored more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::limits::LATE_STORE_MS;
use grid_core::traits::{AddressedRecord, Persistence, StateRecord};
use grid_core::{Hlc, PartitionId, Result};
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};

use super::dead_letters::{get, settled};
use super::faulty::{FaultyPersistence, faulty_persistence};
use super::support::{Client, World, cbor, run};

/// The one partition.
const PARTITION: PartitionId = PartitionId(0);

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
async fn lose(world: &World, client: &mut Client) {
    let mut loser = world.put(8, 1, "m", "k", b"late");
    loser.hlc = Hlc::new(1, 0);
    client.push(vec![loser]).await;
    client.acks(1).await;
}

/// Everything up to where the journal was trimmed, and its end.
async fn extent(world: &World) -> (u64, u64) {
    let extent = world.journal.extent(PARTITION).await.unwrap();
    (extent.truncated.0, extent.tail.0)
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

#[test]
fn a_state_of_a_killed_process_that_arrives_late_finds_the_journal_that_it_needs() {
    for away in [false, true] {
        run(move |mut world| async move {
            let (database, held) = prepare(&mut world);
            let server = world.start().await;
            held.hooks().holds.store(true, Ordering::SeqCst);
            put(&world, &mut world.client().await).await;
            let is_sent = || !held.hooks().calls.lock().unwrap().is_empty();
            world.wait_until("nothing is stored", is_sent).await;
            world.kill(server);
            held.hooks().holds.store(false, Ordering::SeqCst);

            let server = start(&world, &database, away).await;
            // The late one cannot be of before this.
            assert_eq!(extent(&world).await, (1, 1));
            let mut client = world.client().await;
            lose(&world, &mut client).await;
            client.answer_pings(Duration::from_secs(3)).await;
            let (records, state) = held.hooks().calls.lock().unwrap().remove(0);
            let latest = database.load_state(PARTITION).await.unwrap().unwrap();
            assert_eq!(latest.sequence, state.sequence);
            assert_ne!(latest.data, state.data);
            database.store(PARTITION, &records, &state).await.unwrap();
            drop(client);
            world.kill(server);

            let server = start(&world, &database, false).await;
            assert_eq!(get(&server, "k").await, Some(cbor(b"v").to_vec()));
            assert_eq!(extent(&world).await, (1, 2));
            world.sleep(Duration::from_millis(LATE_STORE_MS)).await;
            assert_eq!(extent(&world).await, (2, 2));
            let found = database.load_state(PARTITION).await.unwrap();
            assert_eq!(found, Some(latest));
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
            lose(&world, &mut client).await;
            client.answer_pings(Duration::from_secs(3)).await;
            drop(client);
            world.kill(server);
            database.hooks().is_lazy.store(false, Ordering::SeqCst);

            let server = start(&world, &database, away).await;
            assert_eq!(extent(&world).await, (0, 2));
            database.store(PARTITION, &[], &late).await.unwrap();
            world.kill(server);
            let server = start(&world, &database, false).await;
            assert_eq!(get(&server, "k").await, Some(cbor(b"v").to_vec()));
            // A write that takes a sequence settles it.
            let mut client = world.client().await;
            client.push(vec![world.put(7, 1, "m", "k", b"2")]).await;
            client.acks(1).await;
            settled(&world, &server).await;
            assert_eq!(extent(&world).await, (3, 3));
        });
    }
}

#[test]
fn a_start_trims_what_no_late_state_can_need() {
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
            let _server = start(&world, &database, away).await;
            assert_eq!(extent(&world).await, (3, 3));
            assert_eq!(database.hooks().stores.load(Ordering::SeqCst), stores);
        });
    }
}
