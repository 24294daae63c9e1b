use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use grid_core::op::Action;
use grid_core::protocol::Selector;
use grid_core::traits::{Persistence, Resolution, Resolver};
use grid_core::{ErrorKind, Key, PartitionId, Record};
use grid_server::{DeadLetter, Server};

use super::faulty::{FaultyPersistence, faulty_persistence};
use super::support::{Client, World, address, cbor, run};

/// A server whose database refuses `keys`, with all in one partition.
pub(crate) async fn start(
    world: &mut World,
    keys: &[&'static str],
) -> (Arc<FaultyPersistence>, Server) {
    let persistence = faulty_persistence();
    *persistence.hooks().refused.lock().unwrap() = keys.iter().copied().collect();
    world.persistence = persistence.clone();
    world.settings.map_spread = 1;
    let server = world.start().await;
    (persistence, server)
}

/// Pushes one version of each key, numbered from `first` on, and waits until it is stored.
pub(crate) async fn push(
    world: &World,
    client: &mut Client,
    first: u64,
    keys: &[&str],
) -> PartitionId {
    let ops = (first..).zip(keys);
    let ops =
        ops.map(|(number, key)| world.put(9, number, "m", key, format!("{number}").as_bytes()));
    client.push(ops.collect()).await;
    let partition = client.acks(keys.len() as u64).await[0].partition;
    let stored = 3 * world.settings.flush_interval_ms;
    client.answer_pings(Duration::from_millis(stored)).await;
    partition
}

pub(crate) async fn letters(server: &Server) -> Vec<DeadLetter> {
    let page = server.admin().dead_letters(None, 1_000).await.unwrap();
    assert!(!page.more);
    page.letters
}

/// The keys that the database has.
pub(crate) async fn stored(persistence: &FaultyPersistence, partition: PartitionId) -> Vec<String> {
    let page = persistence.load(partition, None, 1_000).await.unwrap();
    let live = page
        .records
        .into_iter()
        .filter(|each| !each.record.is_tombstone());
    live.map(|each| each.record.key.as_str().to_owned())
        .collect()
}

pub(crate) async fn get(server: &Server, key: &str) -> Option<Vec<u8>> {
    let key = Key::new(key).unwrap();
    let found = server.handle().get(&address("m"), &key).await.unwrap();
    found
        .and_then(|record| record.value)
        .map(|value| value.to_vec())
}

#[test]
fn what_the_database_refuses_is_put_aside_and_the_rest_is_stored() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["k05", "k31", "k32"]).await;
        let mut client = world.client().await;
        let keys: Vec<String> = (0..40).map(|n| format!("k{n:02}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let partition = push(&world, &mut client, 1, &keys).await;
        let stored = stored(&persistence, partition).await;
        assert_eq!(stored.len(), 37);
        let letters = letters(&server).await;
        let mut refused: Vec<_> = letters.iter().map(|l| l.record.key.as_str()).collect();
        refused.sort_unstable();
        assert_eq!(refused, ["k05", "k31", "k32"]);
        for letter in &letters {
            assert_eq!(
                (letter.partition, &letter.address),
                (partition, &address("m"))
            );
            assert!(
                letter.reason.contains("a constraint forbids"),
                "{}",
                letter.reason
            );
        }
        // The journal does not wait for them, and 40 records cost few calls.
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!(extent.truncated, extent.tail);
        assert!(persistence.hooks().stores.load(Ordering::SeqCst) < 60);
        let lag = server.admin().lag();
        assert_eq!((lag.changes, lag.bytes, lag.dead_letters), (0, 0, 3));
    });
}

#[test]
fn a_restart_keeps_what_was_put_aside_and_serves_it() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &[]).await;
        let mut client = world.client().await;
        push(&world, &mut client, 1, &["a", "b"]).await;
        persistence
            .hooks()
            .refused
            .lock()
            .unwrap()
            .extend(["a", "c"]);
        push(&world, &mut client, 3, &["a", "b", "c"]).await;
        let before = letters(&server).await;
        assert_eq!(before.len(), 2);
        world.kill(server);

        let server = world.start().await;
        assert_eq!(get(&server, "a").await, Some(cbor(b"3").to_vec()));
        assert_eq!(get(&server, "b").await, Some(cbor(b"4").to_vec()));
        assert_eq!(get(&server, "c").await, Some(cbor(b"5").to_vec()));
        assert_eq!(letters(&server).await, before);
        assert_eq!(server.admin().lag().dead_letters, 2);
    });
}

#[test]
fn a_later_version_that_is_stored_settles_the_letter_and_one_that_is_refused_takes_its_place() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["a", "b"]).await;
        let mut client = world.client().await;
        let partition = push(&world, &mut client, 1, &["a", "b"]).await;
        let first = letters(&server).await;
        push(&world, &mut client, 3, &["a"]).await;
        let second = letters(&server).await;
        assert_eq!(second.len(), 2, "one letter an entry");
        let of_a = |letters: &[DeadLetter]| {
            let letter = letters.iter().find(|l| l.record.key.as_str() == "a");
            letter.map(|l| (l.id.clone(), l.record.value.clone()))
        };
        let (before, after) = (of_a(&first).unwrap(), of_a(&second).unwrap());
        assert_eq!(before.0, after.0);
        assert_eq!(after.1, Some(cbor(b"3")));
        persistence.hooks().refused.lock().unwrap().clear();
        push(&world, &mut client, 4, &["a"]).await;
        let third = letters(&server).await;
        assert_eq!(third.len(), 1);
        assert_eq!(third[0].record.key.as_str(), "b");
        assert_eq!(stored(&persistence, partition).await, ["a"]);
    });
}

#[test]
fn a_letter_is_stored_once_the_reason_is_mended_and_not_before() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["a"]).await;
        let mut client = world.client().await;
        let partition = push(&world, &mut client, 1, &["a"]).await;
        let id = letters(&server).await.remove(0).id;
        let error = server.admin().retry_dead_letter(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(letters(&server).await.len(), 1);
        persistence.hooks().refused.lock().unwrap().clear();
        server.admin().retry_dead_letter(&id).await.unwrap();
        assert_eq!(letters(&server).await, []);
        assert_eq!(stored(&persistence, partition).await, ["a"]);
        let error = server.admin().retry_dead_letter(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        world.kill(server);
        let server = world.start().await;
        assert_eq!(get(&server, "a").await, Some(cbor(b"1").to_vec()));
    });
}

#[test]
fn a_letter_that_is_refused_again_leaves_no_state_in_doubt_for_which_the_journal_would_be_kept() {
    run(|mut world| async move {
        let (_persistence, server) = start(&mut world, &["a"]).await;
        let mut client = world.client().await;
        let partition = push(&world, &mut client, 1, &["a"]).await;
        let id = letters(&server).await.remove(0).id;
        let error = server.admin().retry_dead_letter(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        // A write that loses takes no sequence.
        let mut loser = world.put(9, 2, "m", "a", b"late");
        loser.hlc = grid_core::Hlc::new(1, 0);
        client.push(vec![loser]).await;
        client.acks(1).await;
        client.answer_pings(Duration::from_secs(5)).await;
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!((extent.truncated, extent.tail.0), (extent.tail, 2));
    });
}

#[test]
fn a_letter_that_is_dropped_takes_the_entry_back_to_what_the_database_has_for_every_client() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["new"]).await;
        let mut client = world.client().await;
        push(&world, &mut client, 1, &["old"]).await;
        persistence.hooks().refused.lock().unwrap().insert("old");
        push(&world, &mut client, 2, &["old", "new"]).await;
        persistence.hooks().refused.lock().unwrap().clear();
        for letter in letters(&server).await {
            server.admin().drop_dead_letter(&letter.id).await.unwrap();
        }
        assert_eq!(get(&server, "old").await, Some(cbor(b"1").to_vec()));
        assert_eq!(get(&server, "new").await, None);
        client.answer_pings(Duration::from_secs(3)).await;
        assert_eq!(letters(&server).await, []);
        world.kill(server);
        let server = world.start().await;
        assert_eq!(get(&server, "old").await, Some(cbor(b"1").to_vec()));
        let (handle, map) = (server.handle(), address("m"));
        let page = handle.page(&map, &Selector::All, None, 10);
        assert_eq!(page.await.unwrap().records.len(), 1);
    });
}

#[test]
fn a_letter_that_is_dropped_is_settled_at_once_also_while_the_database_still_has_it() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["a"]).await;
        let mut client = world.client().await;
        let partition = push(&world, &mut client, 1, &["a"]).await;
        let id = letters(&server).await.remove(0).id;
        // Nothing is stored, so the letter stays where it is.
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let admin = server.admin();
        admin.drop_dead_letter(&id).await.unwrap();
        assert_eq!(letters(&server).await, []);
        let error = admin.drop_dead_letter(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        persistence.hooks().refused.lock().unwrap().clear();
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        let error = admin.retry_dead_letter(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        settled(&world, &server).await;
        assert_eq!(stored(&persistence, partition).await, [""; 0]);
        // The next version that is refused has a letter of the same id, which is not settled.
        persistence.hooks().refused.lock().unwrap().insert("a");
        push(&world, &mut client, 2, &["a"]).await;
        assert_eq!(letters(&server).await.remove(0).id, id);
        admin.drop_dead_letter(&id).await.unwrap();
    });
}

#[test]
fn one_of_two_orders_for_a_letter_at_once_wins() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["a"]).await;
        let mut client = world.client().await;
        let refused = |refuses| {
            let mut keys = persistence.hooks().refused.lock().unwrap();
            keys.clear();
            keys.extend(refuses);
        };
        let admin = server.admin();
        for first in 1..=2 {
            refused(Some("a"));
            push(&world, &mut client, first, &["a"]).await;
            let id = letters(&server).await.remove(0).id;
            refused(None);
            let (retried, dropped) = if first == 1 {
                futures::join!(admin.retry_dead_letter(&id), admin.drop_dead_letter(&id))
            } else {
                let both =
                    futures::join!(admin.drop_dead_letter(&id), admin.retry_dead_letter(&id));
                (both.1, both.0)
            };
            let (won, lost) = if first == 1 {
                (retried, dropped)
            } else {
                (dropped, retried)
            };
            won.unwrap();
            let kind = lost.unwrap_err().kind();
            let is_told = matches!(kind, ErrorKind::Conflict | ErrorKind::NotFound);
            assert!(is_told, "{kind:?}");
        }
        // An order that came to nothing is in nobody's way.
        refused(Some("a"));
        push(&world, &mut client, 3, &["a"]).await;
        let id = letters(&server).await.remove(0).id;
        let error = admin.retry_dead_letter(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        admin.drop_dead_letter(&id).await.unwrap();
    });
}

#[test]
fn a_letter_of_an_entry_that_has_changed_since_is_not_dropped() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["a"]).await;
        let mut client = world.client().await;
        push(&world, &mut client, 1, &["a"]).await;
        let id = letters(&server).await.remove(0).id;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        client.push(vec![world.put(9, 2, "m", "a", b"2")]).await;
        client.acks(1).await;
        let error = server.admin().drop_dead_letter(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(get(&server, "a").await, Some(cbor(b"2").to_vec()));
    });
}

#[test]
fn a_removal_that_the_database_refuses_stays_a_removal() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &[]).await;
        let mut client = world.client().await;
        let partition = push(&world, &mut client, 1, &["a"]).await;
        persistence.hooks().refused.lock().unwrap().insert("a");
        let mut remove = world.put(9, 2, "m", "a", b"");
        remove.action = Action::Remove;
        client.push(vec![remove]).await;
        client.acks(1).await;
        client.answer_pings(Duration::from_secs(3)).await;
        assert_eq!(stored(&persistence, partition).await, ["a"]);
        world.kill(server);
        let server = world.start().await;
        assert_eq!(get(&server, "a").await, None);
        assert!(letters(&server).await[0].record.is_tombstone());
    });
}

#[test]
fn a_dropped_letter_of_a_removal_brings_the_entry_back() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &[]).await;
        let mut client = world.client().await;
        push(&world, &mut client, 1, &["a"]).await;
        persistence.hooks().refused.lock().unwrap().insert("a");
        let mut remove = world.put(9, 2, "m", "a", b"");
        remove.action = Action::Remove;
        client.push(vec![remove]).await;
        client.acks(1).await;
        client.answer_pings(Duration::from_secs(3)).await;
        let id = letters(&server).await.remove(0).id;
        persistence.hooks().refused.lock().unwrap().clear();
        server.admin().drop_dead_letter(&id).await.unwrap();
        assert_eq!(get(&server, "a").await, Some(cbor(b"1").to_vec()));
        client.answer_pings(Duration::from_secs(3)).await;
        assert_eq!(letters(&server).await, []);
    });
}

#[test]
fn what_changes_between_a_letter_and_its_state_settles_the_letter() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["a"]).await;
        let mut client = world.client().await;
        // The batch, its one record alone, the letter; then the state fails.
        persistence.hooks().succeeds.store(4, Ordering::SeqCst);
        client.push(vec![world.put(9, 1, "m", "a", b"1")]).await;
        client.acks(1).await;
        client.answer_pings(Duration::from_secs(3)).await;
        assert_eq!(letters(&server).await.len(), 1, "the letter was written");
        assert!(server.admin().lag().changes > 0, "the state was not");
        let mut remove = world.put(9, 2, "m", "a", b"");
        remove.action = Action::Remove;
        client.push(vec![remove]).await;
        client.acks(1).await;
        persistence.hooks().refused.lock().unwrap().clear();
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        client.answer_pings(Duration::from_secs(60)).await;
        assert_eq!(server.admin().lag().changes, 0);
        assert_eq!(letters(&server).await, []);
    });
}

#[test]
fn a_crash_anywhere_between_refusal_and_state_loses_and_doubles_nothing() {
    for succeeds in 1..=25 {
        run(move |mut world| async move {
            let (persistence, server) = start(&mut world, &["k3", "k4"]).await;
            let mut client = world.client().await;
            persistence
                .hooks()
                .succeeds
                .store(succeeds, Ordering::SeqCst);
            let ops = (1..=8).map(|n| world.put(9, n, "m", &format!("k{n}"), b"1"));
            client.push(ops.collect()).await;
            client.acks(8).await;
            client.answer_pings(Duration::from_secs(3)).await;
            world.kill(server);
            persistence.hooks().fails.store(false, Ordering::SeqCst);
            persistence.hooks().succeeds.store(0, Ordering::SeqCst);
            let server = world.start().await;
            let mut client = world.client().await;
            client.answer_pings(Duration::from_secs(3)).await;
            for n in 1..=8 {
                let found = get(&server, &format!("k{n}")).await;
                assert_eq!(found, Some(cbor(b"1").to_vec()), "k{n} after {succeeds}");
            }
            assert_eq!(letters(&server).await.len(), 2, "after {succeeds}");
        });
    }
}

/// Waits until nothing waits for the database.
pub(crate) async fn settled(world: &World, server: &Server) {
    let is_level = || server.admin().lag().changes == 0;
    world.wait_until("the lag does not fall", is_level).await;
}

/// What a resolver makes of every pair of versions.
#[derive(Debug)]
enum Stubborn {
    KeepsCurrent,
    KeepsLonger,
}

impl Resolver for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    fn resolve(&self, current: &Record, incoming: &Record) -> Resolution {
        match self {
            Self::KeepsCurrent => Resolution::KeepCurrent,
            Self::KeepsLonger => {
                let longer = [current, incoming].map(|each| each.value.clone());
                let longer = longer
                    .into_iter()
                    .max_by_key(|v| v.as_ref().map(Bytes::len));
                Resolution::Combine(longer.flatten())
            }
        }
    }
}

#[test]
fn a_letter_is_dropped_whatever_the_merge_rule_makes_of_what_the_database_has() {
    for (resolver, older) in [
        (Stubborn::KeepsCurrent, false),
        (Stubborn::KeepsLonger, true),
    ] {
        run(move |mut world| async move {
            let persistence = faulty_persistence();
            world.persistence = persistence.clone();
            let builder = world.builder().resolver(Arc::new(resolver));
            let server = world.start_with(builder).await;
            let (handle, map) = (server.handle(), address("m"));
            let key = Key::new("k").unwrap();
            let refuse = |refuses| {
                persistence
                    .hooks()
                    .refuses_all
                    .store(refuses, Ordering::SeqCst)
            };
            if older {
                handle.put(&map, &key, cbor(b"old")).await.unwrap();
                settled(&world, &server).await;
            }
            refuse(true);
            handle.put(&map, &key, cbor(b"longer")).await.unwrap();
            settled(&world, &server).await;
            let letter = letters(&server).await.remove(0);
            refuse(false);
            server.admin().drop_dead_letter(&letter.id).await.unwrap();
            let expected = older.then(|| cbor(b"old").to_vec());
            assert_eq!(get(&server, "k").await, expected);
            settled(&world, &server).await;
            assert_eq!(letters(&server).await, []);
            let stored = stored(&persistence, letter.partition).await;
            assert_eq!(stored.len(), usize::from(older));
        });
    }
}

#[test]
fn a_database_that_hangs_holds_no_operator_up() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &["bad"]).await;
        let mut client = world.client().await;
        push(&world, &mut client, 1, &["bad"]).await;
        let letter = letters(&server).await.remove(0);
        let hangs = &persistence.hooks().hangs;
        hangs.store(true, Ordering::SeqCst);
        let (admin, began) = (server.admin(), world.now_ms());
        for answer in [
            admin.dead_letters(None, 10).await.map(drop),
            admin.retry_dead_letter(&letter.id).await,
            admin.drop_dead_letter(&letter.id).await,
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            assert!(error.is_retryable());
            assert!(error.to_string().contains("20 s"), "{error}");
        }
        assert_eq!(world.now_ms() - began, 60_000);
        hangs.store(false, Ordering::SeqCst);
        assert_eq!(letters(&server).await.len(), 1);
    });
}
