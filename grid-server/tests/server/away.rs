//! A server that starts while its database is away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grid_core::op::AckLevel;
use grid_core::protocol::{Message, Selector};
use grid_core::traits::{Append, Journal, Persistence, Position};
use grid_core::{ErrorKind, History, Key, PartitionId, Result};
use grid_server::{MemoryJournal, Server};

use super::faulty::{FaultyPersistence, faulty_persistence};
use super::support::{World, address, cbor, run};

/// Long enough for everything to be written to the database, and for the longest wait between
/// tries.
const FLUSHED: Duration = Duration::from_secs(40);

/// A world whose database outlives the servers, and is away when it is told to.
fn lasting(world: &mut World) -> Arc<FaultyPersistence> {
    let persistence = faulty_persistence();
    world.persistence = persistence.clone();
    persistence
}

fn set_away(persistence: &FaultyPersistence, away: bool) {
    persistence.hooks().away.store(away, Ordering::SeqCst);
}

async fn put(server: &Server, key: &str, value: &[u8]) -> Result<PartitionId> {
    let key = Key::new(key)?;
    let (handle, map) = (server.handle(), address("m"));
    Ok(handle.put(&map, &key, cbor(value)).await?.partition)
}

async fn get(server: &Server, key: &str) -> Result<Option<bytes::Bytes>> {
    let record = server.handle().get(&address("m"), &Key::new(key)?).await?;
    Ok(record.and_then(|record| record.value))
}

/// Every record of the database.
async fn stored(persistence: &FaultyPersistence, partition: PartitionId) -> Vec<bytes::Bytes> {
    let page = persistence.load(partition, None, 1_000).await.unwrap();
    let values = page.records.into_iter().map(|each| each.record.value);
    values.flatten().collect()
}

/// The same journal again, as a backup of it.
async fn copy(journal: &Arc<dyn Journal>) -> Arc<dyn Journal> {
    let copy = MemoryJournal::new();
    for partition in (0..=u16::MAX).map(PartitionId) {
        for entry in journal
            .read(partition, Position(0), usize::MAX)
            .await
            .unwrap()
        {
            let append = Append {
                partition,
                epoch: entry.epoch,
                tail: Position(entry.position.0 - 1),
                batch: entry.batch,
            };
            copy.append(vec![append]).await.remove(0).unwrap();
        }
    }
    Arc::new(copy)
}

#[test]
fn what_the_journal_has_is_served_and_written_to_and_stored_when_the_database_is_back() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        set_away(&persistence, true);
        let partition = put(&server, "k", b"1").await.unwrap();
        world.kill(server);

        let server = world.start().await;
        let health = server.admin().health();
        assert!(!health.is_ok());
        let told = health.reasons.join("; ");
        assert!(told.contains("away when the server started") && told.contains("nobody answers"));
        assert_eq!(get(&server, "k").await.unwrap(), Some(cbor(b"1")));
        let mut op = world.put(9, 1, "m", "k", b"2");
        op.ack = Some(AckLevel::Stored);
        let journaled = world.put(9, 2, "m", "k/2", b"3");
        let mut client = world.client().await;
        client.push(vec![op, journaled]).await;
        let ack = client.acks(1).await.remove(0);
        assert_eq!(
            ack.accepted[0].first, 2,
            "what has to be stored is not acked"
        );
        assert_eq!(get(&server, "k").await.unwrap(), Some(cbor(b"2")));
        client.answer_pings(FLUSHED).await;
        assert!(!server.admin().health().is_ok(), "it is still away");
        assert_eq!(server.admin().lag().changes, 3);
        assert_eq!(persistence.hooks().records.load(Ordering::SeqCst), 0);

        set_away(&persistence, false);
        assert_eq!(client.acks(1).await[0].accepted[0].first, 1);
        client.answer_pings(FLUSHED).await;
        assert_eq!(server.admin().health().reasons, [""; 0]);
        assert_eq!(server.admin().lag().changes, 0);
        assert_eq!(
            stored(&persistence, partition).await,
            [cbor(b"2"), cbor(b"3")]
        );
        server.shutdown().await.unwrap();
        // And a start like any other follows.
        let server = world.start().await;
        assert_eq!(get(&server, "k").await.unwrap(), Some(cbor(b"2")));
    });
}

#[test]
fn what_only_the_database_has_waits_for_it_and_the_rest_is_served() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        let in_database = put(&server, "stored", b"1").await.unwrap();
        world.sleep(FLUSHED).await;
        set_away(&persistence, true);
        world.kill(server);

        let server = world.start().await;
        let error = get(&server, "stored").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable());
        let error = put(&server, "stored", b"2").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let reasons = server.admin().health().reasons;
        assert!(
            reasons.contains(&"1 of 13 partitions are not served yet".to_owned()),
            "{reasons:?}"
        );
        assert_eq!(server.admin().metrics().partitions_wanted, 1);
        // Nothing was ever written to the others.
        let mut elsewhere = 0;
        for number in 0..9 {
            if let Ok(partition) = put(&server, &format!("new-{number}"), b"3").await {
                assert_ne!(partition, in_database);
                elsewhere += 1;
            }
        }
        assert!(elsewhere > 0);

        set_away(&persistence, false);
        world.sleep(FLUSHED).await;
        assert_eq!(get(&server, "stored").await.unwrap(), Some(cbor(b"1")));
        put(&server, "stored", b"2").await.unwrap();
        assert!(server.admin().health().is_ok());
        assert_eq!(server.admin().metrics().partitions_served, 13);
    });
}

#[test]
fn clients_stay_connected_while_what_only_the_database_has_waits_for_it() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        let partition = put(&server, "stored", b"1").await.unwrap();
        world.sleep(FLUSHED).await;
        set_away(&persistence, true);
        world.kill(server);

        let server = world.start().await;
        let mut client = world.client().await;
        let subscribed = client.subscribe("m", Selector::All, History(0), Vec::new());
        let view = subscribed.await;
        let gone = client.subscribe("n", Selector::All, History(0), Vec::new());
        let gone = gone.await;
        client.send(&Message::Unsubscribe(gone)).await;
        let mut left = world.client().await;
        left.subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        left.connection.close().await;
        let ops = vec![
            world.put(9, 1, "m", "stored", b"2"),
            world.put(9, 2, "m", "stored", b"3"),
        ];
        client.push(ops.clone()).await;
        let deferred = client.deferred().await;
        assert_eq!(deferred.from, 1);
        let why = &deferred.message;
        assert!(why.contains("database is away"), "{why}");
        client.resume(ops.clone()).await;
        assert_eq!(client.deferred().await.from, 1, "it is still away");
        let counts = server.admin().metrics().counts;
        assert_eq!(counts.ops[&("deferred", "unavailable")], 4);

        set_away(&persistence, false);
        let delta = client.wait_for(|message| match message {
            Message::Delta(delta) if delta.view == view => Some(delta.clone()),
            Message::CaughtUp(level) if level.view == gone => panic!("{level:?}"),
            _ => None,
        });
        let delta = delta.await;
        assert_eq!(delta.partition, partition);
        assert_eq!(delta.records[0].value, Some(cbor(b"1")));
        client.resume(ops).await;
        client.acks(2).await;
        assert_eq!(get(&server, "stored").await.unwrap(), Some(cbor(b"3")));
    });
}

/// Two keys of "m", of which the first lies elsewhere than the second.
async fn apart(server: &Server) -> (String, String) {
    let home = put(server, "stored", b"0").await.unwrap();
    for number in 0.. {
        let key = format!("other-{number}");
        if put(server, &key, b"0").await.unwrap() != home {
            return (key, "stored".to_owned());
        }
    }
    unreachable!("a map is spread over several partitions")
}

#[test]
fn a_write_that_waits_for_the_database_does_not_hold_up_those_before_it() {
    run(|mut world| async move {
        let (served, waits) = {
            let server = world.start().await;
            let keys = apart(&server).await;
            server.shutdown().await.unwrap();
            world.journal = Arc::new(MemoryJournal::new());
            keys
        };
        let persistence = lasting(&mut world);
        let server = world.start().await;
        put(&server, &waits, b"0").await.unwrap();
        world.sleep(FLUSHED).await;
        set_away(&persistence, true);
        world.kill(server);

        let server = world.start().await;
        let mut client = world.client().await;
        let op = |number, key: &str, value: &[u8]| world.put(9, number, "m", key, value);
        let ops = vec![
            op(1, &served, b"1"),
            op(2, &served, b"2"),
            op(3, &waits, b"3"),
            op(4, &served, b"4"),
        ];
        client.push(ops.clone()).await;
        client.push(vec![op(5, &served, b"5")]).await;
        assert_eq!(client.deferred().await.from, 3);
        let acks = client.acks(2).await;
        assert_eq!(acks[0].accepted[0].first, 1);
        assert_eq!(get(&server, &served).await.unwrap(), Some(cbor(b"2")));
        // It comes again and again, and what is behind never overtakes it.
        let rest = || vec![ops[2].clone(), ops[3].clone(), op(5, &served, b"5")];
        client.resume(rest()).await;
        assert_eq!(client.deferred().await.from, 3);
        assert_eq!(get(&server, &served).await.unwrap(), Some(cbor(b"2")));

        set_away(&persistence, false);
        client.answer_pings(FLUSHED).await;
        client.resume(rest()).await;
        let mut numbers = Vec::new();
        for ack in client.acks(3).await {
            assert_eq!(ack.exceptions, [], "none was decided before");
            let ranges = ack.accepted.into_iter();
            numbers.extend(ranges.flat_map(|range| range.first..range.first + range.count));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [3, 4, 5]);
        assert_eq!(get(&server, &waits).await.unwrap(), Some(cbor(b"3")));
        assert_eq!(get(&server, &served).await.unwrap(), Some(cbor(b"5")));
    });
}

#[test]
fn a_database_that_goes_away_during_the_start_is_as_good_as_one_that_was_away() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        put(&server, "k", b"1").await.unwrap();
        world.kill(server);
        // Who has the data set is told; then nothing can be loaded.
        let states = &persistence.hooks().states;
        states.store(3, Ordering::SeqCst);
        let server = world.start().await;
        assert!(persistence.hooks().away.load(Ordering::SeqCst));
        assert_eq!(get(&server, "k").await.unwrap(), Some(cbor(b"1")));
        set_away(&persistence, false);
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        world.sleep(FLUSHED).await;
        assert!(server.admin().health().is_ok());
        assert_eq!(server.admin().lag().changes, 0);
    });
}

#[test]
fn a_database_of_another_data_set_ends_the_server_when_it_is_back() {
    run(|mut world| async move {
        let other = lasting(&mut world);
        let server = world.start().await;
        put(&server, "other", b"1").await.unwrap();
        server.shutdown().await.unwrap();
        world.journal = Arc::new(MemoryJournal::new());
        let own = lasting(&mut world);
        let server = world.start().await;
        set_away(&own, true);
        put(&server, "own", b"1").await.unwrap();
        world.kill(server);

        set_away(&other, true);
        let before = other.hooks().stores.load(Ordering::SeqCst);
        world.persistence = other.clone();
        let server = world.start().await;
        assert_eq!(get(&server, "own").await.unwrap(), Some(cbor(b"1")));
        set_away(&other, false);
        server.failed().await;
        assert!(!server.admin().health().is_ok());
        assert_eq!(
            other.hooks().stores.load(Ordering::SeqCst),
            before,
            "nothing was written to it"
        );
        drop(server);
        let error = world.builder().start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Diverged);
    });
}

#[test]
fn a_database_that_is_ahead_of_the_journal_ends_the_server_however_much_was_written_since() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let partition = put(&server, "k", b"1").await.unwrap();
        let backup = copy(&world.journal).await;
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        put(&server, "k", b"2").await.unwrap();
        world.sleep(FLUSHED).await;
        assert_eq!(stored(&persistence, partition).await, [cbor(b"2")]);
        world.kill(server);

        set_away(&persistence, true);
        world.journal = backup;
        let server = world.start().await;
        assert_eq!(get(&server, "k").await.unwrap(), Some(cbor(b"1")));
        // As long as the journal of the database now, and longer.
        put(&server, "k", b"x").await.unwrap();
        put(&server, "k", b"y").await.unwrap();
        set_away(&persistence, false);
        server.failed().await;
        assert_eq!(stored(&persistence, partition).await, [cbor(b"2")]);
    });
}

#[test]
fn after_a_new_history_the_journal_alone_is_not_taken_for_everything() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        put(&server, "k", b"1").await.unwrap();
        server.shutdown().await.unwrap();
        world.journal = Arc::new(MemoryJournal::new());
        let server = world.start_with(world.builder().new_history(true)).await;
        world.kill(server);

        set_away(&persistence, true);
        let server = world.start().await;
        let error = get(&server, "k").await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "it is not said to be absent"
        );
        set_away(&persistence, false);
        world.sleep(FLUSHED).await;
        assert_eq!(get(&server, "k").await.unwrap(), Some(cbor(b"1")));
    });
}

#[test]
fn without_a_journal_and_with_a_database_that_lets_nobody_in_nothing_starts() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        set_away(&persistence, true);
        let error = world.try_start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.to_string().contains("start again when it is back"),
            "{error}"
        );
        set_away(&persistence, false);
        let server = world.start().await;
        put(&server, "k", b"1").await.unwrap();
        world.kill(server);
        // No wait helps against a wrong password: at the start, and when it is back.
        let locked = &persistence.hooks().locked;
        locked.store(true, Ordering::SeqCst);
        let error = world.builder().start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        locked.store(false, Ordering::SeqCst);
        set_away(&persistence, true);
        let error = world.builder().new_history(true).start().await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "an order needs the database"
        );
        let server = world.start().await;
        locked.store(true, Ordering::SeqCst);
        server.failed().await;
    });
}
