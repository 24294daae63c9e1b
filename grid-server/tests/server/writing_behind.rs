use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grid_core::op::Action;
use grid_core::protocol::{Message, Selector, Verdict};
use grid_core::traits::Persistence;
use grid_core::{Key, PartitionId, RunId};

use super::catching_up::Held;
use super::dead_letters::settled;
use super::faulty::{FaultyPersistence, faulty_persistence};
use super::support::{World, address, cbor, run};

fn with_persistence(world: &mut World) -> Arc<FaultyPersistence> {
    let persistence = faulty_persistence();
    world.persistence = persistence.clone();
    persistence
}

#[test]
fn changes_are_coalesced_by_key_and_let_the_journal_forget() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        let _server = world.start().await;
        let mut client = world.client().await;
        for number in 1..=100 {
            let op = world.put(9, number, "m", "k", b"v");
            client.push(vec![op]).await;
            client.acks(1).await;
        }
        let flushed = Duration::from_millis(2 * world.settings.flush_interval_ms);
        client.answer_pings(flushed).await;
        assert_eq!(persistence.hooks().records.load(Ordering::SeqCst), 1);
        for id in (0..world.settings.partition_count).map(PartitionId) {
            let extent = world.journal.extent(id).await.unwrap();
            assert_eq!(extent.truncated, extent.tail, "partition {id}");
        }
        // Nothing changed: nothing is written.
        let stores = persistence.hooks().stores.load(Ordering::SeqCst);
        client.answer_pings(flushed).await;
        assert_eq!(persistence.hooks().stores.load(Ordering::SeqCst), stores);
    });
}

#[test]
fn pitfall_10_the_journal_keeps_what_comes_while_a_flush_is_under_way() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        let server = world.start().await;
        let mut client = world.client().await;
        let waiting = persistence.hooks().gate.lock().await;
        client.push(vec![world.put(9, 1, "m", "k", b"1")]).await;
        let partition = client.acks(1).await[0].partition;
        client.answer_pings(Duration::from_millis(1_500)).await;
        assert!(
            persistence.hooks().stores.load(Ordering::SeqCst) > 1,
            "a flush began"
        );
        client.push(vec![world.put(9, 2, "m", "k", b"2")]).await;
        client.acks(1).await;
        drop(waiting);
        let extent = loop {
            client.answer_pings(Duration::from_millis(10)).await;
            let extent = world.journal.extent(partition).await.unwrap();
            if extent.truncated.0 > 0 {
                break extent;
            }
        };
        assert_eq!((extent.truncated.0, extent.tail.0), (1, 2));
        let before = everything(&world, &server).await;
        world.kill(server);
        let server = world.start().await;
        assert_eq!(everything(&world, &server).await, before);
    });
}

#[test]
fn much_that_gathered_is_written_before_its_time() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        world.settings.flush_interval_ms = 3_600_000;
        world.settings.flush_records = 10;
        world.settings.map_spread = 1;
        let _server = world.start().await;
        let mut client = world.client().await;
        let ops = (1..=10).map(|n| world.put(9, n, "m", &format!("k{n}"), b"v"));
        client.push(ops.collect()).await;
        client.acks(10).await;
        client.answer_pings(Duration::from_secs(1)).await;
        assert_eq!(persistence.hooks().records.load(Ordering::SeqCst), 10);
    });
}

#[test]
fn pitfall_10_the_journal_keeps_what_a_power_cut_would_take_from_the_database() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        persistence.hooks().is_lazy.store(true, Ordering::SeqCst);
        let _server = world.start().await;
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        let partition = client.acks(1).await[0].partition;
        client.answer_pings(Duration::from_secs(3)).await;
        assert_eq!(persistence.hooks().records.load(Ordering::SeqCst), 1);
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!((extent.truncated.0, extent.tail.0), (0, 1));
    });
}

/// All that a server holds, as a subscriber and the system of record would see it.
async fn everything(world: &World, server: &grid_server::Server) -> Vec<grid_core::Record> {
    let map = address("m");
    let handle = server.handle();
    let page = handle.page(&map, &Selector::All, None, 1_000);
    let mut client = world.client().await;
    client
        .subscribe("m", Selector::All, grid_core::History(0), Vec::new())
        .await;
    let mut held = Held::default();
    held.catch_up(&mut client, world.settings.map_spread.into())
        .await;
    let records = page.await.unwrap().records;
    assert_eq!(held.records.into_values().collect::<Vec<_>>(), records);
    records
}

#[test]
fn a_crash_in_the_middle_of_a_flush_loses_and_doubles_nothing() {
    for succeeds in 1..=12 {
        run(move |mut world| async move {
            let persistence = with_persistence(&mut world);
            world.settings.flush_records = 2;
            world.settings.map_spread = 1;
            let server = world.start().await;
            let mut client = world.client().await;
            persistence
                .hooks()
                .succeeds
                .store(succeeds, Ordering::SeqCst);
            let mut ops: Vec<_> = (1..=15)
                .map(|n| world.put(9, n, "m", &format!("k{n}"), b"1"))
                .collect();
            let mut remove = world.put(9, 16, "m", "k3", b"");
            remove.action = Action::Remove;
            ops.push(remove);
            client.push(ops.clone()).await;
            client.acks(16).await;
            let mut late = world.put(9, 17, "m", "k5", b"late");
            late.hlc = grid_core::Hlc::new(1, 0);
            client.push(vec![late.clone()]).await;
            let verdict = client.acks(1).await.remove(0).exceptions;
            let while_flushing = Duration::from_millis(world.settings.flush_interval_ms);
            client.answer_pings(while_flushing * 3).await;
            // More, which the database does not get.
            client.push(vec![world.put(9, 18, "m", "k1", b"2")]).await;
            client.acks(1).await;
            let before = everything(&world, &server).await;
            world.kill(server);

            persistence.hooks().fails.store(false, Ordering::SeqCst);
            persistence.hooks().succeeds.store(0, Ordering::SeqCst);
            let server = world.start().await;
            assert_eq!(everything(&world, &server).await, before, "{succeeds}");
            // The dedup table came back as well.
            let mut client = world.client().await;
            client.push(vec![late]).await;
            assert_eq!(client.acks(1).await[0].exceptions, verdict);
        });
    }
}

#[test]
fn entries_expire_and_subscribers_are_told() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.client().await;
        client
            .subscribe("m", Selector::All, grid_core::History(0), Vec::new())
            .await;
        let mut held = Held::default();
        held.catch_up(&mut client, 3).await;
        let mut op = world.put(9, 1, "m", "k", b"v");
        op.action = Action::Put {
            value: cbor(b"v"),
            ttl_ms: Some(3_000),
        };
        client.push(vec![op]).await;
        let tombstone = client
            .wait_for(|message| match message {
                Message::Delta(delta) => {
                    let record = delta.records.first()?;
                    record.is_tombstone().then(|| record.clone())
                }
                _ => None,
            })
            .await;
        assert_eq!(tombstone.key.as_str(), "k");
        let key = Key::new("k").unwrap();
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record, None);
    });
}

#[test]
fn many_entries_that_are_due_together_expire_together() {
    run(|mut world| async move {
        world.settings.map_spread = 1;
        world.settings.housekeeping_ms = 60_000;
        let server = world.start().await;
        let mut client = world.client().await;
        let expiring = |number: u64| {
            let mut op = world.put(9, number, "m", &format!("k{number}"), b"v");
            op.action = Action::Put {
                value: cbor(b"v"),
                ttl_ms: Some(10_000),
            };
            op
        };
        for first in (1..=5_000).step_by(500) {
            client
                .push((first..first + 500).map(expiring).collect())
                .await;
            client.acks(500).await;
        }
        client.answer_pings(Duration::from_secs(62)).await;
        let map = address("m");
        let page = server.handle().page(&map, &Selector::All, None, 10).await;
        assert_eq!(page.unwrap().records.len(), 0);
    });
}

#[test]
fn a_released_run_is_forgotten_after_the_retention() {
    run(|mut world| async move {
        world.settings.retention_ms = 20_000;
        let _server = world.start().await;
        let mut client = world.client().await;
        let older = |number| {
            let mut op = world.put(9, number, "m", "k", b"older");
            op.hlc = grid_core::Hlc::new(1, 0);
            op
        };
        client
            .push(vec![world.put(9, 1, "m", "k", b"1"), older(2)])
            .await;
        client.acks(2).await;
        client.send(&Message::Release(RunId(9))).await;
        let mut again = world.client().await;
        client.answer_pings(Duration::from_secs(15)).await;
        again.answer_pings(Duration::from_secs(1)).await;
        // Still known: number 1 is a duplicate. (This takes back the release.)
        again.push(vec![older(1)]).await;
        assert_eq!(again.acks(1).await[0].exceptions, []);
        client.answer_pings(Duration::from_secs(15)).await;
        let mut third = world.client().await;
        third.push(vec![older(1)]).await;
        let exceptions = third.acks(1).await.remove(0).exceptions;
        assert!(matches!(exceptions[0].verdict, Verdict::Superseded(_)));
    });
}

#[test]
fn what_was_removed_while_the_database_failed_stays_removed() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        world.settings.retention_ms = 10_000;
        let server = world.start().await;
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        client.acks(1).await;
        client.answer_pings(Duration::from_secs(3)).await;
        assert_eq!(persistence.hooks().records.load(Ordering::SeqCst), 1);
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut remove = world.put(9, 2, "m", "k", b"");
        remove.action = Action::Remove;
        client.push(vec![remove]).await;
        client.acks(1).await;
        // For longer than tombstones are kept.
        client.answer_pings(Duration::from_secs(25)).await;
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        server.shutdown().await.unwrap();
        let server = world.start().await;
        assert_eq!(everything(&world, &server).await, []);
    });
}

#[test]
fn the_journal_keeps_what_a_state_that_is_stored_late_would_need() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        // No epoch record settles it meanwhile.
        world.settings.housekeeping_ms = 3_600_000;
        let _server = world.start().await;
        let mut client = world.client().await;
        // No answer comes to the first state record of this sequence: it may be stored later.
        persistence.hooks().succeeds.store(1, Ordering::SeqCst);
        client.push(vec![world.put(9, 1, "m", "k", b"1")]).await;
        let partition = client.acks(1).await[0].partition;
        client.answer_pings(Duration::from_secs(1)).await;
        // What takes no sequence moves the journal on: a write that loses.
        let mut late = world.put(9, 2, "m", "k", b"late");
        late.hlc = grid_core::Hlc::new(1, 0);
        client.push(vec![late]).await;
        client.acks(1).await;
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        client.answer_pings(Duration::from_secs(60)).await;
        let stored = persistence.load_state(partition).await.unwrap().unwrap();
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!(stored.sequence.0, 1);
        assert_eq!((extent.truncated.0, extent.tail.0), (1, 2));
        // A state of a later sequence is never replaced by it.
        client.push(vec![world.put(9, 3, "m", "k", b"3")]).await;
        client.acks(1).await;
        client.answer_pings(Duration::from_secs(3)).await;
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!((extent.truncated.0, extent.tail.0), (3, 3));
    });
}

#[test]
fn a_refusal_leaves_no_state_in_doubt_for_which_the_journal_would_be_kept() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        world.settings.dead_letters = 1;
        world.settings.partition_count = 1;
        let server = world.start().await;
        let mut client = world.client().await;
        persistence
            .hooks()
            .refused
            .lock()
            .unwrap()
            .extend(["a", "b"]);
        let ops = [(1, "a"), (2, "b")].map(|(n, key)| world.put(9, n, "m", key, b"1"));
        client.push(ops.to_vec()).await;
        let partition = client.acks(2).await[0].partition;
        // There are more than may be put aside.
        client.answer_pings(Duration::from_secs(3)).await;
        assert_eq!(server.admin().lag().changes, 2);
        persistence.hooks().refused.lock().unwrap().clear();
        settled(&world, &server).await;
        // A write that loses takes no sequence.
        let mut loser = world.put(9, 3, "m", "a", b"late");
        loser.hlc = grid_core::Hlc::new(1, 0);
        client.push(vec![loser]).await;
        client.acks(1).await;
        client.answer_pings(Duration::from_secs(5)).await;
        let extent = world.journal.extent(partition).await.unwrap();
        // Two batches, and no epoch record.
        assert_eq!((extent.truncated.0, extent.tail.0), (2, 2));
    });
}

#[test]
fn a_partition_that_rests_lets_go_of_the_journal_once_no_late_state_can_take_effect() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        let server = world.start().await;
        let mut client = world.client().await;
        persistence.hooks().succeeds.store(1, Ordering::SeqCst);
        client.push(vec![world.put(9, 1, "m", "k", b"1")]).await;
        let partition = client.acks(1).await[0].partition;
        client.answer_pings(Duration::from_secs(1)).await;
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        client.answer_pings(Duration::from_secs(3)).await;
        let late = persistence.load_state(partition).await.unwrap().unwrap();
        // A write that loses takes no sequence.
        let mut loser = world.put(9, 2, "m", "k", b"late");
        loser.hlc = grid_core::Hlc::new(1, 0);
        client.push(vec![loser]).await;
        client.acks(1).await;
        let state = || persistence.load_state(partition);
        while state().await.unwrap().unwrap().data == late.data {
            client.answer_pings(Duration::from_millis(50)).await;
        }
        // The journal is kept for the one that got no answer, until an epoch record takes a
        // sequence.
        assert_eq!(state().await.unwrap().unwrap().sequence, late.sequence);
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!(extent.truncated.0, 1);
        client.answer_pings(Duration::from_secs(5)).await;
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!((extent.truncated.0, extent.tail.0), (3, 3));
        // It comes after all.
        let latest = state().await.unwrap();
        persistence.store(partition, &[], &late).await.unwrap();
        assert_eq!(state().await.unwrap(), latest);
        drop(client);
        let stores = persistence.hooks().stores.load(Ordering::SeqCst);
        world.sleep(Duration::from_secs(60)).await;
        assert_eq!(persistence.hooks().stores.load(Ordering::SeqCst), stores);
        world.kill(server);
        let server = world.start().await;
        assert_eq!(everything(&world, &server).await.len(), 1);
    });
}

#[test]
fn a_partition_whose_entries_all_change_at_every_store_gets_level_all_the_same() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        world.settings.map_spread = 1;
        world.settings.flush_records = 3;
        let _server = world.start().await;
        let mut client = world.client().await;
        let hooks = persistence.hooks();
        let mut waiting = hooks.gate.lock().await;
        let mut partition = PartitionId(0);
        let rounds = 40;
        for round in 0..rounds {
            let (first, stores) = (round * 9 + 1, hooks.stores.load(Ordering::SeqCst));
            let overwrite = |number| world.put(9, number, "m", &format!("k{}", number % 9), b"v");
            client
                .push((first..first + 9).map(overwrite).collect())
                .await;
            partition = client.acks(9).await[0].partition;
            // One store goes through, and the next one is called with what it finds then.
            drop(waiting);
            waiting = hooks.gate.lock().await;
            while hooks.stores.load(Ordering::SeqCst) == stores {
                client.answer_pings(Duration::from_millis(50)).await;
            }
        }
        let stored = persistence.load_state(partition).await.unwrap().unwrap();
        let extent = world.journal.extent(partition).await.unwrap();
        // A pass over 9 entries takes 3 stores, and begins where the partition was then.
        assert!(stored.sequence.0 >= 9 * (rounds - 7), "{}", stored.sequence);
        let page = persistence.load(partition, None, 99).await.unwrap();
        let sequences = page.records.iter().map(|each| each.record.sequence.0);
        let last = sequences.filter(|sequence| sequence + 9 > stored.sequence.0);
        assert_eq!(last.count(), 9, "{page:?}");
        assert!(extent.truncated.0 >= extent.tail.0 - 7, "{extent:?}");
    });
}
