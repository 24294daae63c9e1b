use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grid_core::op::{AckLevel, Op};
use grid_core::protocol::Verdict;
use grid_core::traits::Persistence;
use grid_server::config::AckLevels;

use super::faulty::{FaultyPersistence, Mode, faulty_journal, faulty_persistence};
use super::support::{World, address, cbor, run};

fn at(level: AckLevel, mut op: Op) -> Op {
    op.ack = Some(level);
    op
}

fn with_persistence(world: &mut World) -> Arc<FaultyPersistence> {
    let persistence = faulty_persistence();
    world.persistence = persistence.clone();
    persistence
}

#[test]
fn a_stored_write_is_acked_once_the_database_has_it_and_not_before() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        let _server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        let journaled = world.put(9, 1, "m", "a", b"1");
        let stored = at(AckLevel::Stored, world.put(9, 2, "m", "b", b"2"));
        client.push(vec![journaled, stored]).await;
        let acks = client.acks(1).await;
        assert_eq!(
            acks[0].accepted[0].first, 1,
            "what need not be stored is told"
        );
        client.answer_pings(Duration::from_secs(20)).await;
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        let ack = client.acks(1).await.remove(0);
        assert_eq!(ack.accepted[0].first, 2);
        let page = persistence.load(ack.partition, None, 10).await.unwrap();
        let values: Vec<_> = page
            .records
            .into_iter()
            .map(|each| each.record.value)
            .collect();
        assert!(values.contains(&Some(cbor(b"2"))));
    });
}

#[test]
fn a_stored_write_does_not_wait_for_others_to_gather() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        world.settings.flush_interval_ms = 3_600_000;
        let _server = world.start().await;
        let mut client = world.client().await;
        let ops = vec![
            world.put(9, 1, "other", "a", b"1"),
            at(AckLevel::Stored, world.put(9, 2, "m", "b", b"2")),
        ];
        client.push(ops).await;
        assert_eq!(client.acks(2).await.len(), 2);
        // What nobody waits for goes on gathering.
        assert_eq!(persistence.hooks().records.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_duplicate_of_a_stored_write_waits_as_the_first_did() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        let _server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let op = at(AckLevel::Stored, world.put(9, 1, "m", "a", b"1"));
        let mut client = world.client().await;
        client.push(vec![op.clone()]).await;
        client.answer_pings(Duration::from_secs(2)).await;
        drop(client);
        let mut client = world.client().await;
        client.push(vec![op]).await;
        client.answer_pings(Duration::from_secs(2)).await;
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        assert_eq!(client.acks(1).await[0].exceptions, []);
    });
}

#[test]
fn a_stored_write_that_the_database_refuses_is_acked_once_its_dead_letter_is_kept() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        persistence.hooks().refused.lock().unwrap().insert("a");
        let server = world.start().await;
        let mut client = world.client().await;
        client
            .push(vec![at(AckLevel::Stored, world.put(9, 1, "m", "a", b"1"))])
            .await;
        client.acks(1).await;
        let letters = server.admin().dead_letters(None, 10).await.unwrap().letters;
        assert_eq!(letters.len(), 1);
    });
}

#[test]
fn a_rejection_waits_for_nothing() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        world.settings.max_value_bytes = 10;
        let _server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        let op = at(AckLevel::Stored, world.put(9, 1, "m", "a", &[7; 100]));
        client.push(vec![op]).await;
        let exception = client.acks(1).await.remove(0).exceptions.remove(0);
        assert!(matches!(exception.verdict, Verdict::Rejected { .. }));
    });
}

#[test]
fn a_write_in_memory_is_acked_while_the_journal_cannot_be_written() {
    run(|mut world| async move {
        let journal = faulty_journal();
        world.journal = journal.clone();
        world.settings.ack_levels = AckLevels::parse("presence=memory").unwrap();
        world.settings.push_window = 5;
        let server = world.start().await;
        let mut client = world.client().await;
        journal.hooks().set(Mode::Full);
        let op = world.put(9, 1, "presence", "a", b"1");
        client.push(vec![op.clone()]).await;
        assert_eq!(client.acks(1).await[0].exceptions, []);
        // It survives nothing, and nobody has seen it. Its client may have it still: it waited for
        // a sequence that the partition did not reach.
        let key = grid_core::Key::new("a").unwrap();
        let presence = address("presence");
        let found = server.handle().get(&presence, &key).await;
        assert_eq!(found.unwrap(), None);
        assert_eq!(client.deferred().await.from, 1);
        // Another run and its map wait.
        client.push(vec![world.put(8, 2, "m", "a", b"2")]).await;
        assert_eq!(client.deferred().await.from, 2);
        // Every op has one answer for each time that it came, or the window would be used up.
        for _ in 0..3 * world.settings.push_window {
            client.resume(vec![op.clone()]).await;
            client.acks(1).await;
            client.deferred().await;
        }
        journal.hooks().set(Mode::Well);
        client.resume(vec![op]).await;
        client.acks(1).await;
        let found = server.handle().get(&presence, &key).await.unwrap();
        assert_eq!(found.unwrap().value, Some(cbor(b"1")));
    });
}

#[test]
fn a_level_of_the_write_comes_before_that_of_its_map() {
    run(|mut world| async move {
        let persistence = with_persistence(&mut world);
        world.settings.ack_levels = AckLevels::parse("stored, m=memory").unwrap();
        let _server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "a", b"1")]).await;
        client.acks(1).await;
        let op = at(AckLevel::Journaled, world.put(9, 2, "other", "a", b"1"));
        client.push(vec![op]).await;
        client.acks(1).await;
        client.push(vec![world.put(9, 3, "other", "a", b"1")]).await;
        client.answer_pings(Duration::from_secs(2)).await;
    });
}
