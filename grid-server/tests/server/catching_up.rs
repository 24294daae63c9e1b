use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::protocol::{DeltaMode, Message, Selector};
use grid_core::{History, Key, PartitionId, Record, Sequence};

use super::support::{Client, World, hello, run, welcome_of};

/// What a client holds of one view.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) records: BTreeMap<Key, Record>,
    pub(crate) cursor: BTreeMap<PartitionId, Sequence>,
    pub(crate) resets: usize,
    pub(crate) deltas: usize,
}

impl Held {
    pub(crate) fn cursor(&self) -> Vec<(PartitionId, Sequence)> {
        self.cursor.iter().map(|(p, s)| (*p, *s)).collect()
    }

    /// Takes what comes until every partition of the map is level.
    pub(crate) async fn catch_up(&mut self, client: &mut Client, partitions: usize) {
        let mut level = std::collections::BTreeSet::new();
        while level.len() < partitions {
            match client.next().await {
                Message::Delta(delta) => {
                    self.deltas += 1;
                    if delta.mode == DeltaMode::Changes && !delta.continued {
                        let at = self.cursor.get(&delta.partition).copied();
                        assert!(delta.from <= at.unwrap_or_default());
                    }
                    for record in delta.records {
                        if record.is_tombstone() {
                            self.records.remove(&record.key);
                        } else {
                            self.records.insert(record.key.clone(), record);
                        }
                    }
                    if delta.root.is_some() {
                        self.cursor.insert(delta.partition, delta.to);
                        level.insert(delta.partition);
                    }
                }
                Message::CaughtUp(caught_up) => {
                    if caught_up.cursor.is_empty() {
                        level.extend(self.cursor.keys().copied());
                    }
                    self.resets += usize::from(caught_up.reset);
                    for (partition, sequence) in caught_up.cursor {
                        self.cursor.insert(partition, sequence);
                        level.insert(partition);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.records.keys().map(ToString::to_string).collect()
    }
}

const PARTITIONS: usize = 3;

async fn history(world: &World) -> History {
    let mut client = world.connect().await;
    client.send(&hello(world.now_ms())).await;
    welcome_of(client.next().await).history
}

#[test]
fn a_subscriber_gets_a_snapshot_without_tombstones_and_then_events() {
    run(|world| async move {
        let _server = world.start().await;
        let mut writer = world.client().await;
        let mut remove = world.put(9, 3, "m", "gone", b"");
        remove.action = grid_core::op::Action::Remove;
        writer
            .push(vec![
                world.put(9, 1, "m", "k", b"1"),
                world.put(9, 2, "m", "gone", b"1"),
                remove,
            ])
            .await;
        writer.acks(3).await;
        let mut reader = world.client().await;
        let view = reader
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let mut held = Held::default();
        held.catch_up(&mut reader, PARTITIONS).await;
        assert_eq!(held.keys(), ["k"]);
        assert_eq!(held.deltas, 1);
        writer.push(vec![world.put(9, 4, "m", "k", b"2")]).await;
        let Message::Delta(event) = reader.next().await else {
            panic!("no event");
        };
        assert_eq!((event.view, event.mode), (view, DeltaMode::Changes));
        assert_eq!(event.records[0].key.as_str(), "k");
        assert_eq!(event.records[0].sequence, event.to);
    });
}

#[test]
fn pitfall_3_an_unchanged_reconnect_costs_one_round_trip_and_200_bytes() {
    run(|world| async move {
        let _server = world.start().await;
        let history = history(&world).await;
        let mut writer = world.client().await;
        let ops = (1..=500).map(|n| world.put(9, n, "m", &format!("key-{n}"), b"value"));
        writer.push(ops.collect()).await;
        writer.acks(500).await;
        let mut held = Held::default();
        let mut first = world.client().await;
        first
            .subscribe("m", Selector::All, history, Vec::new())
            .await;
        held.catch_up(&mut first, PARTITIONS).await;
        assert_eq!(held.records.len(), 500);
        drop(first);
        // Another map in the same partitions changes meanwhile.
        let ops = (501..=600).map(|n| world.put(9, n, "other", &format!("key-{n}"), b"value"));
        writer.push(ops.collect()).await;
        writer.acks(100).await;

        let mut second = world.client().await;
        let before = (second.sent.bytes(), second.received.bytes());
        let frames = second.sent.frames();
        second
            .subscribe("m", Selector::All, history, held.cursor())
            .await;
        held.deltas = 0;
        held.catch_up(&mut second, PARTITIONS).await;
        let bytes = (second.sent.bytes() - before.0) + (second.received.bytes() - before.1);
        assert!(bytes <= 200, "{bytes} bytes");
        assert_eq!(second.sent.frames() - frames, 1, "one round trip");
        assert_eq!((held.deltas, held.resets), (0, 0));
    });
}

#[test]
fn a_client_that_was_away_gets_each_changed_key_once_and_the_deletions() {
    run(|world| async move {
        let _server = world.start().await;
        let history = history(&world).await;
        let mut writer = world.client().await;
        let ops = (1..=200).map(|n| world.put(9, n, "m", &format!("key-{n}"), b"value"));
        writer.push(ops.collect()).await;
        writer.acks(200).await;
        let mut held = Held::default();
        let mut first = world.client().await;
        first
            .subscribe("m", Selector::All, history, Vec::new())
            .await;
        held.catch_up(&mut first, PARTITIONS).await;
        drop(first);
        let mut remove = world.put(9, 205, "m", "key-7", b"");
        remove.action = grid_core::op::Action::Remove;
        for op in [
            world.put(9, 201, "m", "key-3", b"a"),
            world.put(9, 202, "m", "key-3", b"b"),
            world.put(9, 203, "m", "new", b"c"),
            world.put(9, 204, "m", "key-3", b"d"),
            remove,
        ] {
            writer.push(vec![op]).await;
            writer.acks(1).await;
        }
        let mut second = world.client().await;
        let before = second.received.bytes();
        second
            .subscribe("m", Selector::All, history, held.cursor())
            .await;
        held.catch_up(&mut second, PARTITIONS).await;
        assert!(second.received.bytes() - before < 500);
        assert_eq!(held.records.len(), 200);
        assert!(!held.records.contains_key(&Key::new("key-7").unwrap()));
        let value = held.records[&Key::new("key-3").unwrap()].value.clone();
        assert_eq!(value, Some(super::support::cbor(b"d")));
    });
}

#[test]
fn a_large_snapshot_comes_in_frames_of_bounded_size() {
    run(|world| async move {
        let _server = world.start().await;
        let mut writer = world.client().await;
        let value = vec![7; 20_000];
        for first in (1..=200u64).step_by(40) {
            let ops = (first..first + 40).map(|n| world.put(9, n, "m", &format!("k{n}"), &value));
            writer.push(ops.collect()).await;
            writer.acks(40).await;
        }
        let mut reader = world.client().await;
        reader
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let before = (reader.received.frames(), reader.received.bytes());
        let mut held = Held::default();
        held.catch_up(&mut reader, PARTITIONS).await;
        assert_eq!(held.records.len(), 200);
        let frames = reader.received.frames() - before.0;
        let bytes = reader.received.bytes() - before.1;
        assert!(bytes / frames < 70_000, "{frames} frames of {bytes} bytes");
        assert!(frames > 50);
    });
}

#[test]
fn a_cursor_of_another_history_or_of_the_future_is_reset() {
    run(|world| async move {
        let _server = world.start().await;
        let history = history(&world).await;
        let mut writer = world.client().await;
        writer.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        writer.acks(1).await;
        let mut held = Held::default();
        let mut first = world.client().await;
        first
            .subscribe("m", Selector::All, history, Vec::new())
            .await;
        held.catch_up(&mut first, PARTITIONS).await;
        let right = held.clone();
        for (history, ahead) in [(History(history.0 ^ 1), 0), (history, 1_000)] {
            let mut client = world.client().await;
            let cursor = held.cursor();
            let cursor = cursor.iter().map(|(p, s)| (*p, Sequence(s.0 + ahead)));
            client
                .subscribe("m", Selector::All, history, cursor.collect())
                .await;
            let mut told = right.clone();
            told.deltas = 0;
            told.catch_up(&mut client, PARTITIONS).await;
            assert_eq!((told.resets, told.deltas), (1, 0));
            assert_eq!(told.cursor, right.cursor);
        }
    });
}

#[test]
fn a_cursor_below_the_horizon_is_reset() {
    run(|mut world| async move {
        world.settings.retention_ms = 10_000;
        let _server = world.start().await;
        let history = history(&world).await;
        let mut writer = world.client().await;
        writer.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        writer.acks(1).await;
        let mut held = Held::default();
        let mut first = world.client().await;
        first
            .subscribe("m", Selector::All, history, Vec::new())
            .await;
        held.catch_up(&mut first, PARTITIONS).await;
        let mut remove = world.put(9, 2, "m", "k", b"");
        remove.action = grid_core::op::Action::Remove;
        writer.push(vec![remove]).await;
        writer.acks(1).await;
        world.sleep(Duration::from_secs(25)).await;
        let mut second = world.client().await;
        second
            .subscribe("m", Selector::All, history, held.cursor())
            .await;
        held.catch_up(&mut second, PARTITIONS).await;
        assert_eq!(held.resets, 1, "the tombstone is gone");
    });
}

#[test]
fn events_that_come_while_partitions_answer_are_in_order_with_the_answers() {
    run(|world| async move {
        let _server = world.start().await;
        let history = history(&world).await;
        let mut writer = world.client().await;
        let mut number = 0;
        for round in 0..30u64 {
            let mut reader = world.client().await;
            // A write and a subscription race.
            number += 1;
            let key = format!("k{}", round % 5);
            writer
                .push(vec![world.put(9, number, "m", &key, b"v")])
                .await;
            reader
                .subscribe("m", Selector::All, history, Vec::new())
                .await;
            number += 1;
            writer
                .push(vec![world.put(9, number, "m", &key, b"w")])
                .await;
            let mut held = Held::default();
            held.catch_up(&mut reader, PARTITIONS).await;
            writer.acks(2).await;
            // What is level is level: an event, if it did not come yet, follows on.
            let wanted = Key::new(&key).unwrap();
            let value = |held: &Held| held.records.get(&wanted)?.value.clone();
            while value(&held) != Some(super::support::cbor(b"w")) {
                let Message::Delta(delta) = reader.next().await else {
                    panic!("no event");
                };
                assert!(delta.from <= held.cursor[&delta.partition]);
                held.cursor.insert(delta.partition, delta.to);
                for record in delta.records {
                    held.records.insert(record.key.clone(), record);
                }
            }
        }
    });
}
