//! Clients are slowed down while the database is behind, before they are refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::op::Op;
use grid_core::protocol::{Ack, Message};
use grid_core::traits::{AddressedRecord, Persistence, Runtime, StateRecord};
use grid_core::{PartitionId, Result};
use grid_server::Server;
use grid_storage_memory::MemoryPersistence;
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};

use super::dead_letters::settled;
use super::faulty::{FaultyPersistence, PersistenceFaults, faulty_persistence};
use super::support::{Client, World, run};

/// How long each store takes.
const STORE: Duration = Duration::from_millis(100);
/// Records that are stored at once.
const RECORDS: u64 = 5;
/// Ops of each client.
const OPS: u64 = 300;

#[derive(Debug)]
struct Slow(Arc<dyn Runtime>);

#[async_trait]
impl PersistenceHooks for Slow {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        self.0.sleep(STORE).await;
        inner.store(partition, records, state).await
    }
}

fn verdicts(ack: &Ack) -> u64 {
    ack.exceptions.len() as u64 + ack.accepted.iter().map(|range| range.count).sum::<u64>()
}

/// Pushes as much as it may, as long as there is something; returns how often it was put off.
async fn push_within_window(world: &World, client: &mut Client, run: u64, full: u64) -> u64 {
    let (mut window, mut pushed, mut answered) = (full, 0, 0);
    while answered < OPS {
        let room = window.saturating_sub(pushed - answered).min(OPS - pushed);
        if room > 0 {
            let numbers = pushed + 1..=pushed + room;
            let op = |number| world.put(run, number, "m", &format!("{run}-{number}"), b"v");
            client.push(numbers.map(op).collect()).await;
            pushed += room;
        }
        let ack = client
            .wait_for(|message| match message {
                Message::Ack(ack) => Some(Some(ack.clone())),
                Message::Deferred(_) => Some(None),
                _ => None,
            })
            .await;
        let Some(ack) = ack else { return 1 };
        answered += verdicts(&ack);
        window = ack.window.map_or(window, u64::from);
    }
    0
}

#[test]
fn who_keeps_to_the_window_is_never_put_off_and_as_quick_as_the_database() {
    run(|mut world| async move {
        world.settings.workers = 1;
        world.settings.partition_count = 1;
        world.settings.map_spread = 1;
        world.settings.push_window = 10;
        // Twice what both have on their way before they are slowed down, and some more.
        world.settings.backlog_records = 60;
        world.settings.flush_records = usize::try_from(RECORDS).unwrap();
        world.settings.flush_interval_ms = 10;
        let memory = Arc::new(MemoryPersistence::new());
        world.persistence = Arc::new(HookedPersistence::new(memory, Slow(world.runtime())));
        let server = world.start().await;
        let (mut one, mut other) = (world.client().await, world.client().await);
        let before_ms = world.now_ms();
        let (first, second) = futures::join!(
            push_within_window(&world, &mut one, 8, 10),
            push_within_window(&world, &mut other, 9, 10)
        );
        assert_eq!((first, second), (0, 0), "put off");
        let took_ms = world.now_ms() - before_ms;
        let least_ms = 2 * OPS / RECORDS * u64::try_from(STORE.as_millis()).unwrap();
        // What still waits in the end need not be stored yet.
        assert!(took_ms > least_ms * 7 / 10, "{took_ms} of {least_ms}");
        assert!(took_ms < least_ms * 13 / 10, "{took_ms} of {least_ms}");
        server.shutdown().await.unwrap();
    });
}

#[test]
fn who_ignores_the_window_is_put_off_and_told_once_there_is_room() {
    run(|mut world| async move {
        world.settings.workers = 1;
        world.settings.backlog_records = 4;
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let _server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        let mut windows = Vec::new();
        for number in 1..=4 {
            client
                .push(vec![world.put(9, number, "m", "k", b"v")])
                .await;
            windows.push(client.acks(1).await[0].window);
        }
        assert_eq!(windows, [None, None, Some(0), None]);
        let fifth = world.put(9, 5, "m", "k", b"last");
        client.push(vec![fifth.clone()]).await;
        assert_eq!(client.deferred().await.from, 5);
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        let opened = client
            .wait_for(|message| match message {
                Message::Ack(ack) => Some(ack.clone()),
                _ => None,
            })
            .await;
        assert_eq!(verdicts(&opened), 0);
        assert_eq!(opened.window, Some(2), "half of what may wait");
        client.resume(vec![fifth]).await;
        assert_eq!(client.acks(1).await[0].accepted[0].first, 5);
    });
}

/// They were refused together with the ops that they came beside, and nobody sends them again.
#[test]
fn what_is_confirmed_while_ops_are_put_off_is_taken() {
    run(|mut world| async move {
        world.settings.workers = 1;
        world.settings.backlog_records = 1;
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        let first = world.put(9, 1, "m", "k", b"v");
        client.push(vec![first.clone()]).await;
        client.acks(1).await;
        // A duplicate adds nothing either.
        client.resume(vec![first]).await;
        client.acks(1).await;
        let before = server.admin().lag().bytes;
        client.send(&Message::Release(grid_core::RunId(9))).await;
        client.push(vec![world.put(8, 1, "m", "k", b"v")]).await;
        client.deferred().await;
        assert!(
            server.admin().lag().bytes > before,
            "the release is journalled"
        );
    });
}

/// What holds up a database, and what waits for it.
struct Held {
    server: Server,
    client: Client,
    faults: Arc<FaultyPersistence>,
    /// The one that there is.
    partition: PartitionId,
    /// What waits, in bytes.
    bytes: u64,
}

/// Changes that wait for the database.
const WAITING: u64 = 20;

/// Change `number`, of a key of its own.
fn change(world: &World, number: u64) -> Op {
    world.put(9, number, "m", &format!("k{number}"), b"v")
}

/// A server of one partition, which waits with [`WAITING`] changes for a database that takes
/// nothing, and stores four of them at once.
async fn held(world: &mut World) -> Held {
    world.settings.workers = 1;
    world.settings.partition_count = 1;
    world.settings.flush_records = 4;
    let faults = faulty_persistence();
    world.persistence = faults.clone();
    let server = world.start().await;
    faults.hooks().fails.store(true, Ordering::SeqCst);
    let mut client = world.client().await;
    let mut partition = PartitionId(0);
    for number in 1..=WAITING {
        client.push(vec![change(world, number)]).await;
        partition = client.acks(1).await[0].partition;
    }
    Held {
        bytes: server.admin().lag().bytes,
        server,
        client,
        faults,
        partition,
    }
}

/// The database takes some pieces, which leave eight changes and less than half of the bytes.
async fn take_some(world: &World, server: &Server, faults: &PersistenceFaults, bytes: u64) {
    faults.succeeds.store(4, Ordering::SeqCst);
    faults.fails.store(false, Ordering::SeqCst);
    let is_part_stored = || server.admin().lag().changes == 8;
    world.wait_until("nothing makes room", is_part_stored).await;
    let left = server.admin().lag().bytes;
    assert!(left < bytes / 2, "{left} of {bytes}");
}

#[test]
fn what_a_long_pass_has_stored_makes_room_before_its_end() {
    run(|mut world| async move {
        world.settings.backlog_records = usize::try_from(WAITING).unwrap();
        let mut held = held(&mut world).await;
        let next = change(&world, WAITING + 1);
        held.client.push(vec![next.clone()]).await;
        held.client.deferred().await;
        let (server, faults) = (&held.server, held.faults.hooks());
        // A pass that began after four changes, and two of the four pieces of the next one.
        take_some(&world, server, faults, held.bytes).await;
        held.client.resume(vec![next]).await;
        held.client
            .wait_for(|message| match message {
                Message::Ack(ack) => (verdicts(ack) == 1).then_some(()),
                _ => None,
            })
            .await;
        assert_eq!(server.admin().lag().changes, 9);
        // The state record lags: the journal is needed from the end of the first pass.
        let extent = world.journal.extent(held.partition).await.unwrap();
        assert_eq!(extent.truncated.0, 4);
        faults.fails.store(false, Ordering::SeqCst);
        settled(&world, server).await;
        assert_eq!(server.admin().lag().bytes, 0);
    });
}

#[test]
fn what_the_first_pass_after_a_restart_has_stored_makes_room_before_its_end() {
    // The partition is loaded with the database, or made of the journal alone while that is away.
    for away in [false, true] {
        run(move |mut world| async move {
            let held = held(&mut world).await;
            drop(held.client);
            world.kill(held.server);
            let faults = held.faults.hooks();
            faults.away.store(away, Ordering::SeqCst);
            let server = world.start().await;
            assert_eq!(server.admin().lag().bytes, held.bytes);
            faults.away.store(false, Ordering::SeqCst);
            // Three of the pass's five pieces; the fourth fails.
            take_some(&world, &server, faults, held.bytes).await;
            faults.fails.store(false, Ordering::SeqCst);
            settled(&world, &server).await;
            assert_eq!(server.admin().lag().bytes, 0);
        });
    }
}
