use grid_core::codec::CborCodec;
use grid_core::protocol::{Message, Selector, write_frame};
use grid_core::{History, Key, Record};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::catching_up::Held;
use super::support::{Client, cbor, run};

/// Reads until all 40 keys have their last value, and checks that nothing is missed.
async fn read_until_last(slow: &mut Client, held: &mut Held) {
    let is_last = |record: &&Record| record.value == Some(cbor(b"last"));
    while held.records.values().filter(is_last).count() < 40 {
        let Message::Delta(delta) = slow.next().await else {
            continue;
        };
        if !delta.continued {
            assert!(delta.from <= held.cursor[&delta.partition], "a gap");
        }
        if delta.root.is_some() {
            held.cursor.insert(delta.partition, delta.to);
        }
        for record in delta.records {
            held.records.insert(record.key.clone(), record);
        }
    }
}

#[test]
fn a_subscriber_that_does_not_read_costs_bounded_memory_and_is_caught_up_later() {
    run(|mut world| async move {
        world.settings.send_queue_bytes = 64 * 1024;
        world.settings.heartbeat_ms = 600_000;
        let server = world.start().await;
        let mut slow = world.client().await;
        slow.subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let mut held = Held::default();
        held.catch_up(&mut slow, 3).await;
        // Nobody reads while 40 MB go over few keys; others are not held up.
        let mut writer = world.client().await;
        let mut quick = world.client().await;
        quick
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let mut quick_held = Held::default();
        quick_held.catch_up(&mut quick, 3).await;
        let value = vec![3; 10_000];
        for round in 0..100u64 {
            let ops = (1..=40).map(|n| world.put(9, round * 40 + n, "m", &format!("k{n}"), &value));
            writer.push(ops.collect()).await;
            writer.acks(40).await;
        }
        let last: Vec<_> = (1..=40)
            .map(|n| world.put(9, 4_000 + n, "m", &format!("k{n}"), b"last"))
            .collect();
        writer.push(last).await;
        writer.acks(40).await;
        let sequence = {
            let key = Key::new("k40").unwrap();
            let map = super::support::address("m");
            server
                .handle()
                .get(&map, &key)
                .await
                .unwrap()
                .unwrap()
                .sequence
        };
        // Now it reads: it misses nothing, and gets far less than was written.
        let before = slow.received.bytes();
        read_until_last(&mut slow, &mut held).await;
        let bytes = slow.received.bytes() - before;
        assert!(bytes < 8_000_000, "{bytes} bytes for 40 keys");
        assert!(sequence.0 > 1_000);
        // From here on it gets events as they happen.
        world.sleep(Duration::from_millis(10)).await;
        writer
            .push(vec![world.put(9, 5_000, "m", "k1", b"live")])
            .await;
        let event = slow
            .wait_for(|message| match message {
                Message::Delta(delta) if !delta.records.is_empty() => Some(delta.clone()),
                _ => None,
            })
            .await;
        assert_eq!(event.records[0].value, Some(cbor(b"live")));
    });
}

#[test]
fn a_subscriber_so_slow_that_tombstones_are_gone_is_told_to_compare() {
    run(|mut world| async move {
        world.settings.send_queue_bytes = 64 * 1024;
        world.settings.heartbeat_ms = 600_000;
        world.settings.retention_ms = 10_000;
        world.settings.map_spread = 1;
        let _server = world.start().await;
        let mut writer = world.client().await;
        writer
            .push(vec![world.put(9, 1, "m", "doomed", b"v")])
            .await;
        writer.acks(1).await;
        let mut slow = world.client().await;
        slow.subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let mut held = Held::default();
        held.catch_up(&mut slow, 1).await;
        assert_eq!(held.records.len(), 1);
        for number in 2..=400 {
            let op = world.put(9, number, "m", "k", &[3; 10_000]);
            writer.push(vec![op]).await;
            writer.acks(1).await;
        }
        let mut remove = world.put(9, 401, "m", "doomed", b"");
        remove.action = grid_core::op::Action::Remove;
        writer.push(vec![remove]).await;
        writer.acks(1).await;
        world.sleep(Duration::from_secs(25)).await;
        writer
            .push(vec![world.put(9, 402, "m", "last", b"v")])
            .await;
        writer.acks(1).await;
        // The deletion can no longer be told, so the client must not count as level without it.
        let caught_up = slow
            .wait_for(|message| match message {
                Message::CaughtUp(caught_up) => Some(caught_up.clone()),
                _ => None,
            })
            .await;
        assert!(caught_up.reset);
        assert_eq!(caught_up.cursor.len(), 1);
    });
}

#[test]
fn requests_of_a_client_that_reads_no_answers_are_not_read_either() {
    run(|mut world| async move {
        world.settings.send_queue_bytes = 64 * 1024;
        world.settings.heartbeat_ms = 600_000;
        let _server = world.start().await;
        let mut client = world.client().await;
        client
            .push(vec![world.put(9, 1, "m", "k", &[1; 100_000])])
            .await;
        client.acks(1).await;
        let read = Message::Read(grid_core::protocol::Read {
            request: 1,
            map: grid_core::MapName::new("m").unwrap(),
            target: grid_core::protocol::ReadTarget::Key(Key::new("k").unwrap()),
        });
        let mut frame = bytes::BytesMut::new();
        write_frame(&CborCodec, &read, &mut frame).unwrap();
        let frame = frame.freeze();
        let connection = client.connection.clone();
        let asked = AtomicUsize::new(0);
        let ask = async {
            for _ in 0..1_000 {
                connection.send(std::slice::from_ref(&frame)).await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
            }
        };
        let take = async {
            world.sleep(Duration::from_secs(5)).await;
            let taken = asked.load(Ordering::SeqCst);
            assert!(taken < 400, "{taken} requests were taken");
            // All of them are answered, once somebody reads.
            for answer in 0..1_000 {
                let next = client.next().await;
                let Message::ReadResult(result) = next else {
                    panic!("no answer {answer} but {next:?}");
                };
                assert_eq!(result.records.len(), 1);
            }
        };
        futures::join!(ask, take);
    });
}

#[test]
fn comparisons_of_a_client_that_reads_no_answers_wait_in_bounded_memory() {
    run(|mut world| async move {
        world.settings.send_queue_bytes = 64 * 1024;
        world.settings.heartbeat_ms = 600_000;
        world.settings.map_spread = 1;
        let _server = world.start().await;
        let mut client = world.connect().await;
        client.send(&super::support::hello(world.now_ms())).await;
        let welcome = super::support::welcome_of(client.next().await);
        client
            .push(vec![world.put(9, 1, "m", "k", &[1; 100_000])])
            .await;
        let partition = client.acks(1).await[0].partition;
        let view = client
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        Held::default().catch_up(&mut client, 1).await;
        let digests = grid_core::DigestKey(welcome.digest_key);
        let mut keys: Vec<u64> = (1..5_000).collect();
        keys.push(digests.key_hash(b"k"));
        let fetch = Message::Repair(grid_core::protocol::Repair {
            view,
            partition,
            step: grid_core::protocol::RepairStep::Fetch { keys },
        });
        let mut frame = bytes::BytesMut::new();
        write_frame(&CborCodec, &fetch, &mut frame).unwrap();
        let frame = frame.freeze();
        let connection = client.connection.clone();
        let asked = AtomicUsize::new(0);
        let ask = async {
            for _ in 0..500 {
                connection.send(std::slice::from_ref(&frame)).await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
            }
        };
        let take = async {
            world.sleep(Duration::from_secs(5)).await;
            let taken = asked.load(Ordering::SeqCst);
            assert!(taken < 400, "{taken} steps were taken");
            // More of them than fit are no fault of the client: all are answered in the end.
            for answer in 0..500 {
                let next = client.next().await;
                let Message::Delta(delta) = next else {
                    panic!("no answer {answer} but {next:?}");
                };
                assert_eq!(delta.records.len(), 1);
            }
        };
        futures::join!(ask, take);
    });
}
