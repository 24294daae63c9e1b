use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use grid_core::protocol::{Message, Selector, Verdict};
use grid_core::traits::{Append, Epoch, Position};
use grid_core::{ErrorKind, History, Key, PartitionId};

use super::faulty::{FaultyJournal, Mode, faulty_journal, faulty_persistence};
use super::support::{World, address, cbor, run};

fn with_journal(world: &mut World) -> Arc<FaultyJournal> {
    let journal = faulty_journal();
    world.journal = journal.clone();
    journal
}

#[test]
fn a_full_journal_puts_writes_off_while_reads_go_on() {
    run(|mut world| async move {
        let journal = with_journal(&mut world);
        let server = world.start().await;
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "a", b"1")]).await;
        client.acks(1).await;
        journal.hooks().set(Mode::Full);
        // One frame with ops of many partitions, then another.
        let ops: Vec<_> = (2..20)
            .map(|number| world.put(9, number, "m", &format!("k{number}"), b"x"))
            .collect();
        client.push(ops.clone()).await;
        let late = world.put(9, 20, "m", "a", b"late");
        client.push(vec![late.clone()]).await;
        let deferred = client.deferred().await;
        assert!(deferred.from >= 2 && deferred.run.0 == 9);
        assert_eq!(deferred.retry_after_ms, world.settings.retry_after_ms);
        let key = Key::new("a").unwrap();
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record.unwrap().value, Some(cbor(b"1")), "reads go on");
        let refused = server
            .handle()
            .put(&address("m"), &key, cbor(b"2"))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert!(refused.is_retryable());

        journal.hooks().set(Mode::Well);
        let mut all = ops;
        all.push(late);
        client.resume(all).await;
        // Each op has exactly one verdict, and they took effect in order.
        let acks = client.acks(19).await;
        let mut numbers: Vec<u64> = acks
            .iter()
            .flat_map(|ack| &ack.accepted)
            .flat_map(|range| range.first..range.first + range.count)
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (2..=20).collect::<Vec<_>>());
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record.unwrap().value, Some(cbor(b"late")));
    });
}

#[test]
fn ops_that_are_put_off_again_and_again_do_not_use_up_the_window() {
    run(|mut world| async move {
        let journal = with_journal(&mut world);
        world.settings.push_window = 5;
        let _server = world.start().await;
        let mut client = world.client().await;
        journal.hooks().set(Mode::Full);
        let ops = vec![
            world.put(9, 1, "m", "k", b"1"),
            world.put(9, 2, "m", "k", b"2"),
        ];
        for _ in 0..20 {
            client.resume(ops.clone()).await;
            assert_eq!(client.deferred().await.from, 1);
        }
        journal.hooks().set(Mode::Well);
        client.resume(ops).await;
        client.acks(2).await;
    });
}

#[test]
fn after_a_refusal_nothing_of_the_run_is_taken_before_the_refused_op_comes_again() {
    run(|mut world| async move {
        let journal = with_journal(&mut world);
        let server = world.start().await;
        let mut client = world.client().await;
        journal.hooks().set(Mode::Full);
        let (first, second) = (
            world.put(9, 1, "m", "p/1", b"1"),
            world.put(9, 2, "m", "p/2", b"2"),
        );
        client.push(vec![first.clone()]).await;
        assert_eq!(client.deferred().await.from, 1);
        journal.hooks().set(Mode::Well);
        // Ops that were already on their way: were they taken, op 1 would pass for a duplicate.
        client.push(vec![second.clone()]).await;
        // Another run is not concerned.
        client.push(vec![world.put(8, 1, "m", "other", b"1")]).await;
        let acks = client.acks(1).await;
        assert_eq!(acks[0].run.0, 8);
        let page = async |server: &grid_server::Server| {
            let prefix = Selector::Prefix("p/".to_owned());
            let map = address("m");
            let page = server.handle().page(&map, &prefix, None, 9).await;
            let records = page.unwrap().records.into_iter();
            records.map(|r| r.key.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(page(&server).await, Vec::<String>::new());
        client.resume(vec![first, second]).await;
        let acks = client.acks(2).await;
        assert!(acks.iter().all(|ack| ack.exceptions.is_empty()), "{acks:?}");
        assert_eq!(page(&server).await, ["p/1", "p/2"]);
    });
}

/// Each worker refuses a run on its own, and the push that comes back may have nothing for it: it
/// went on refusing for ever.
#[test]
fn every_worker_hears_that_a_run_comes_back() {
    run(|mut world| async move {
        world.settings.workers = 2;
        let journal = with_journal(&mut world);
        let _server = world.start().await;
        let mut client = world.client().await;
        journal.hooks().set(Mode::Full);
        let op = |number: u64, key: u64| world.put(9, number, "m", &format!("k{key}"), b"x");
        client
            .push((1..20).map(|number| op(number, number)).collect())
            .await;
        let (one, other) = (client.deferred().await.from, client.deferred().await.from);
        let (first, second) = (one.min(other), one.max(other));
        assert!(
            first < second,
            "each worker tells of its own: {first}, {second}"
        );
        journal.hooks().set(Mode::Well);
        client.resume_from(first, vec![op(first, first)]).await;
        client.push(vec![op(20, second)]).await;
        let acks = client.acks(2).await;
        assert!(
            acks.iter().any(|ack| ack.accepted[0].first == 20),
            "{acks:?}"
        );
    });
}

#[test]
fn an_append_of_unknown_outcome_is_settled_by_reading_the_journal() {
    for written in [Mode::SilentlyWritten, Mode::SilentlyLost] {
        run(move |mut world| async move {
            let journal = with_journal(&mut world);
            let server = world.start().await;
            let mut follower = world.client().await;
            follower
                .subscribe("m", Selector::All, History(0), Vec::new())
                .await;
            let mut client = world.client().await;
            journal.hooks().set(written);
            journal.hooks().unreadable.store(true, Ordering::SeqCst);
            let op = world.put(9, 1, "m", "k", b"1");
            client.push(vec![op.clone()]).await;
            assert_eq!(client.deferred().await.from, 1);
            let key = Key::new("k").unwrap();
            let handle = server.handle();
            assert_eq!(handle.get(&address("m"), &key).await.unwrap(), None);
            // As long as nobody knows, nothing of the partition is decided.
            journal.hooks().set(Mode::Well);
            client.resume(vec![op.clone()]).await;
            assert_eq!(client.deferred().await.from, 1);
            journal.hooks().unreadable.store(false, Ordering::SeqCst);
            // Either the batch is found and told to subscribers, or it never was.
            client.resume(vec![op.clone()]).await;
            if written == Mode::SilentlyWritten {
                assert_eq!(client.deferred().await.from, 1);
                client.resume(vec![op]).await;
            }
            let acks = client.acks(1).await;
            assert_eq!(acks[0].exceptions, []);
            let event = follower
                .wait_for(|message| match message {
                    Message::Delta(delta) => Some(delta.clone()),
                    _ => None,
                })
                .await;
            assert_eq!(event.records.len(), 1);
            assert_eq!((event.from.0, event.to.0), (0, 1), "written once");
            let record = handle.get(&address("m"), &key).await.unwrap().unwrap();
            assert_eq!(record.sequence.0, 1);
        });
    }
}

/// The journal batch of an owner that took over after one change.
fn batch_of_another_owner(world: &World, partition: PartitionId) -> Bytes {
    use grid_core::partition::{Partition, PartitionConfig, TableSeed, Timing};
    use grid_core::partition::{Proposal, ProposalBatch, Rules};
    let mut theirs = Partition::new(PartitionConfig {
        id: partition,
        history: History(1),
        digest_key: grid_core::DigestKey(1),
        seed: TableSeed(1, 2),
    });
    let mut next = |number, value: &[u8]| {
        let proposal = Proposal {
            principal: "other".into(),
            timing: Timing::Server,
            address: address("m"),
            op: world.put(77, number, "m", "k", value),
            veto: None,
        };
        let batch = ProposalBatch {
            proposals: vec![proposal],
            ..ProposalBatch::default()
        };
        let effects = theirs
            .decide(&batch, world.now_ms(), &Rules::default())
            .effects;
        theirs.apply(&effects).unwrap();
        effects.encode()
    };
    next(1, b"first");
    next(2, b"foreign")
}

#[test]
fn what_another_owner_has_written_is_not_taken_for_an_append_of_unknown_outcome() {
    run(|mut world| async move {
        let journal = with_journal(&mut world);
        let server = world.start().await;
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "k", b"1")]).await;
        let partition = client.acks(1).await[0].partition;
        journal.hooks().set(Mode::SilentlyLost);
        let op = world.put(9, 2, "m", "k", b"2");
        client.push(vec![op.clone()]).await;
        client.deferred().await;
        journal.hooks().set(Mode::Well);
        let foreign = Append {
            partition,
            epoch: Epoch(9),
            tail: Position(1),
            batch: batch_of_another_owner(&world, partition),
        };
        world.journal.append(vec![foreign]).await.remove(0).unwrap();
        client.resume(vec![op]).await;
        let deferred = client.deferred().await;
        assert!(deferred.message.contains("another owner"), "{deferred:?}");
        // It is given up: nothing of it is served here, and nothing is written after it.
        world.sleep(Duration::from_secs(5)).await;
        let key = Key::new("k").unwrap();
        let error = server.handle().get(&address("m"), &key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!(extent.tail, Position(2));
    });
}

#[test]
fn a_backlog_at_its_bound_puts_writes_off_until_the_database_is_back() {
    run(|mut world| async move {
        world.settings.backlog_records = 3;
        world.settings.workers = 1;
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        for number in 1..=3 {
            client
                .push(vec![world.put(9, number, "m", "k", b"v")])
                .await;
            client.acks(1).await;
        }
        let fourth = world.put(9, 4, "m", "k", b"last");
        client.push(vec![fourth.clone()]).await;
        assert_eq!(client.deferred().await.from, 4);
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        let window = |message: &Message| match message {
            Message::Ack(ack) => ack.window.filter(|window| *window > 0),
            _ => None,
        };
        assert_eq!(client.wait_for(window).await, 1);
        client.resume(vec![fourth]).await;
        assert_eq!(client.acks(1).await[0].accepted[0].first, 4);
        server.shutdown().await.unwrap();
        let stored = persistence.hooks().records.load(Ordering::SeqCst);
        assert!(stored <= 3, "{stored} writes of one key were coalesced");
    });
}

#[test]
fn pitfall_8_a_failing_database_hangs_nothing_and_loses_nothing() {
    run(|mut world| async move {
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        // Names that are trouble for some: a hyphen, quotes, a semicolon, other scripts.
        let maps = ["with-hyphen", "'; drop table x; --", "ключ", "\u{1f600}"];
        for (number, map) in (1..).zip(maps) {
            client
                .push(vec![world.put(9, number, map, "k", b"v")])
                .await;
            client.acks(1).await;
            world.sleep(Duration::from_secs(5)).await;
        }
        assert!(persistence.hooks().stores.load(Ordering::SeqCst) > 4);
        let key = Key::new("k").unwrap();
        for map in maps {
            let record = server.handle().get(&address(map), &key).await.unwrap();
            assert!(record.is_some(), "{map}");
        }
        // It ends in spite of it, and the next start has everything.
        server.shutdown().await.unwrap();
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        let server = world.start().await;
        for map in maps {
            let record = server.handle().get(&address(map), &key).await.unwrap();
            assert!(record.is_some(), "{map}");
        }
    });
}

#[test]
fn verdicts_that_are_not_confirmed_are_kept_and_confirmed_ones_forgotten() {
    run(|world| async move {
        let _server = world.start().await;
        let mut client = world.client().await;
        let older = {
            let mut op = world.put(9, 2, "m", "k", b"older");
            op.hlc = grid_core::Hlc::new(1, 0);
            op
        };
        client
            .push(vec![world.put(9, 1, "m", "k", b"1"), older.clone()])
            .await;
        let ack = client.acks(2).await.remove(0);
        assert!(matches!(ack.exceptions[0].verdict, Verdict::Superseded(_)));
        let stored = grid_core::protocol::Stored {
            run: ack.run,
            partition: ack.partition,
            through: 2,
        };
        let mut again = world.client().await;
        again.push(vec![older.clone()]).await;
        assert_eq!(again.acks(1).await[0].exceptions, ack.exceptions);
        again.send(&Message::Stored(vec![stored])).await;
        let mut third = world.client().await;
        // A round trip of the connection that confirmed, so that it is done.
        again.push(vec![world.put(7, 1, "m", "k2", b"x")]).await;
        again.acks(1).await;
        third.push(vec![older]).await;
        assert_eq!(third.acks(1).await[0].exceptions, []);
    });
}

#[test]
fn a_client_that_confirms_nothing_is_put_off_before_its_verdicts_fill_the_memory() {
    run(|mut world| async move {
        world.settings.map_spread = 1;
        let _server = world.start().await;
        let mut client = world.client().await;
        client.push(vec![world.put(8, 1, "m", "k", b"v")]).await;
        client.acks(1).await;
        let older = |number: u64| {
            let mut op = world.put(9, number, "m", "k", b"");
            op.hlc = grid_core::Hlc::new(number, 0);
            op
        };
        let bound = grid_core::partition::MAX_EXCEPTIONS_PER_RUN as u64;
        let step = 4_096;
        for first in (1..=bound).step_by(step) {
            let next = first + step as u64;
            client.push((first..next).map(older).collect()).await;
            client.acks(step as u64).await;
        }
        client.push(vec![older(bound + 1)]).await;
        let deferred = client.deferred().await;
        assert_eq!(deferred.from, bound + 1);
        assert!(deferred.message.contains("not confirmed"), "{deferred:?}");
        // Others are not concerned, and neither is this run once it has confirmed.
        client.push(vec![world.put(8, 2, "m", "k", b"w")]).await;
        let partition = client.acks(1).await[0].partition;
        let stored = grid_core::protocol::Stored {
            run: grid_core::RunId(9),
            partition,
            through: bound,
        };
        client.send(&Message::Stored(vec![stored])).await;
        // A round trip, so that it is done.
        client.push(vec![world.put(8, 3, "m", "k", b"x")]).await;
        client.acks(1).await;
        client.resume(vec![older(bound + 1)]).await;
        assert_eq!(client.acks(1).await[0].exceptions[0].number, bound + 1);
    });
}
