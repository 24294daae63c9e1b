//! Following a map: deltas, snapshots, gaps, prefixes, other histories.

use std::collections::BTreeSet;

use grid_core::protocol::{Delta, DeltaMode, Message, Selector, ViewId};
use grid_core::traits::Table;
use grid_core::{ErrorKind, Key, Namespace, PartitionId, Sequence};

use crate::server::Server;
use crate::world::{World, key};

/// The view of the only map of a world.
const VIEW: ViewId = ViewId(1);

fn delta(partition: PartitionId, from: u64, to: u64) -> Delta {
    Delta {
        view: VIEW,
        partition,
        mode: DeltaMode::Changes,
        continued: false,
        from: Sequence(from),
        to: Sequence(to),
        records: Vec::new(),
        root: Some(0),
    }
}

/// A partition of the map, and where the device stands in it.
fn somewhere(world: &World) -> (PartitionId, u64) {
    let status = world.devices[0].replica.status();
    let (partition, sequence) = status.maps[0].cursor[0];
    (partition, sequence.0)
}

#[test]
fn a_first_sync_is_loading_then_complete() {
    let mut world = World::new(1);
    for number in 0..20 {
        world.server_put(&key(number), number);
    }
    let replica = &world.devices[0].replica;
    assert!(!replica.is_loaded(&world.map) && !replica.is_synced(&world.map));
    world.connect(0);
    world.run();
    assert_eq!(world.devices[0].synced, [true]);
    world.assert_level();
    world.disconnect(0);
    let replica = &world.devices[0].replica;
    assert!(
        replica.is_loaded(&world.map),
        "what was complete stays known"
    );
    assert!(!replica.is_synced(&world.map));
    assert_eq!(world.devices[0].synced, [true, false]);
}

#[test]
fn an_empty_map_is_told_from_one_that_loads() {
    let world = World::connected(1);
    assert!(world.devices[0].replica.is_loaded(&world.map));
    assert!(world.devices[0].replica.is_synced(&world.map));
}

#[test]
fn a_reconnect_brings_what_changed_and_nothing_when_nothing_did() {
    let mut world = World::connected(2);
    for number in 0..50 {
        world.put(1, &key(number), number);
    }
    world.run();
    world.disconnect(0);
    world.put(1, &key(3), 303);
    world.remove(1, &key(4));
    world.run();
    world.devices[0].changes.clear();
    world.connect(0);
    world.run();
    let changed: BTreeSet<Key> = world.devices[0]
        .changes
        .iter()
        .map(|(_, key)| key.clone())
        .collect();
    assert_eq!(changed, BTreeSet::from([key(3), key(4)]));
    world.assert_level();

    // Pitfall 3: a reconnect with nothing changed is one request and one answer.
    world.connect(0);
    assert!(world.deliver(0, false).unwrap(), "welcome");
    assert!(world.send(0), "subscribe");
    assert!(!world.send(0));
    let events = world.server.links[&0].events.clone();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(matches!(&events[1], Message::CaughtUp(level) if level.cursor.is_empty()));
    world.run();
    assert!(!world.send(0), "nothing to repair");
    world.assert_level();
}

#[test]
fn a_gap_between_deltas_ends_the_connection() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    world.run();
    let (partition, cursor) = somewhere(&world);
    let gap = delta(partition, cursor + 1, cursor + 2);
    let error = world.devices[0]
        .receive(Message::Delta(gap), 0)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    world.connect(0);
    world.run();
    world.assert_level();
}

#[test]
fn a_continuation_of_nothing_and_a_view_of_nobody_end_the_connection() {
    let mut world = World::connected(1);
    let (partition, cursor) = somewhere(&world);
    let stray = Delta {
        continued: true,
        ..delta(partition, cursor, cursor)
    };
    let unknown = Delta {
        view: ViewId(99),
        ..delta(partition, cursor, cursor)
    };
    let unasked = Delta {
        mode: DeltaMode::Repair,
        ..delta(partition, cursor, cursor)
    };
    for delta in [stray, unknown, unasked] {
        world.connect(0);
        world.run();
        let error = world.devices[0]
            .receive(Message::Delta(delta), 0)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
}

#[test]
fn an_event_that_starts_before_the_cursor_is_fine() {
    let mut world = World::connected(1);
    // Changes of another map move the partitions, not the view.
    let other = grid_core::MapName::new("other").unwrap();
    for number in 0..20 {
        world.server.write(&other, &key(number), Some(vec![0x01]));
    }
    world.connect(0);
    world.run();
    for number in 0..20 {
        world.server_put(&key(number), number);
    }
    world.run();
    world.assert_level();
}

#[test]
fn a_snapshot_removes_what_is_gone() {
    let mut world = World::connected(1);
    for number in 0..20 {
        world.server_put(&key(number), number);
    }
    world.run();
    world.disconnect(0);
    for number in 0..10 {
        world.server_remove(&key(number));
    }
    // The device lost its cursors, as after a change of its selector, but not its records.
    let cursors = world.devices[0].store.rows_mut(&Table::Meta);
    cursors.retain(|key, _| !key.starts_with(b"cursor/"));
    world.crash(0);
    assert_eq!(world.seen(0).len(), 20);
    world.connect(0);
    world.run();
    assert_eq!(world.seen(0).len(), 10);
    assert_eq!(world.repairs, 0, "the snapshot alone did it");
    world.assert_level();
}

#[test]
fn an_event_from_before_the_cursor_changes_nothing() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    let stale = world.server.links[&0].events.clone();
    world.server_put(&key(1), 2);
    world.run();
    world.disconnect(0);
    world.connect(0);
    world.run();
    for event in stale {
        world.devices[0].receive(event, 0).unwrap();
    }
    assert_eq!(world.get(0, &key(1)), Some(2));
    assert_eq!(world.repairs, 0);
    world.run();
    world.assert_level();
}

#[test]
fn a_prefix_holds_only_its_keys_and_the_map_can_be_widened() {
    let mut world = World::new(1);
    let map = world.map.clone();
    world.devices[0] = crate::device::Device::new(7 << 32);
    let named = |text: &str| Key::new(text).unwrap();
    for (number, text) in ["list1/a", "list1/b", "list2/a", "x"]
        .into_iter()
        .enumerate()
    {
        world.server_put(&named(text), number as u64);
    }
    let prefix = Selector::Prefix("list1/".to_owned());
    world.devices[0]
        .replica
        .open_map(&map, prefix.clone())
        .unwrap();
    let error = world.devices[0]
        .replica
        .open_map(&map, Selector::All)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    world.connect(0);
    world.run();
    assert_eq!(
        world.seen(0).into_keys().collect::<Vec<_>>(),
        [named("list1/a"), named("list1/b")]
    );
    assert!(world.devices[0].replica.is_loaded(&map));
    // A write beside the prefix goes out, and is not held.
    world.put(0, &named("list2/a"), 20);
    world.put(0, &named("list1/c"), 30);
    world.server_put(&named("x"), 40);
    world.run();
    assert_eq!(world.devices[0].replica.pending(), 0);
    assert_eq!(world.seen(0).len(), 3);
    // Now all of it is wanted.
    world.crash(0);
    assert_eq!(world.seen(0).len(), 3);
    assert!(!world.devices[0].replica.is_loaded(&map));
    world.connect(0);
    world.run();
    world.assert_level();
    assert_eq!(world.seen(0).len(), 5);
    // And less again: what is not wanted goes at once.
    let run = world.devices[0].draw_run();
    world.devices[0].replica = world.devices[0]
        .store
        .load(Namespace::default(), run)
        .unwrap();
    world.devices[0].replica.open_map(&map, prefix).unwrap();
    assert_eq!(world.seen(0).len(), 3);
    world.connect(0);
    world.run();
    assert_eq!(world.seen(0).len(), 3);
    assert!(world.devices[0].replica.is_synced(&map));
}

#[test]
fn what_is_on_its_way_for_a_view_that_was_given_up_is_ignored() {
    let mut world = World::connected(1);
    let named = |text: &str| Key::new(text).unwrap();
    for (number, text) in ["list1/a", "list2/a", "x"].into_iter().enumerate() {
        world.server_put(&named(text), number as u64);
    }
    world.run();
    world.disconnect(0);
    world.put(0, &named("list1/b"), 9);
    // Nobody opened the map, but it is held and has something pending: so it is followed.
    let run = world.devices[0].draw_run();
    world.devices[0].replica = world.devices[0]
        .store
        .load(Namespace::default(), run)
        .unwrap();
    world.connect(0);
    world.server_put(&named("y"), 7);
    assert!(world.deliver(0, false).unwrap(), "welcome");
    while world.send(0) {}
    assert!(world.deliver(0, false).unwrap(), "subscribed");
    let map = world.map.clone();
    let prefix = Selector::Prefix("list1/".to_owned());
    world.devices[0].replica.open_map(&map, prefix).unwrap();
    world.run();
    let seen: Vec<Key> = world.seen(0).into_keys().collect();
    assert_eq!(seen, [named("list1/a"), named("list1/b")]);
    assert!(world.devices[0].replica.is_flushed());
}

#[test]
fn another_history_is_repaired_not_believed() {
    let mut world = World::connected(1);
    for number in 0..30 {
        world.server_put(&key(number), number);
    }
    world.run();
    world.disconnect(0);
    // A restored backup, or another server: some of the same, some else, other sequences.
    let mut restored = Server::new(2);
    restored.now_ms = world.now_ms();
    world.server = restored;
    for number in (5..40).rev() {
        world.server_put(
            &key(number),
            if number % 3 == 0 {
                number
            } else {
                number + 1_000
            },
        );
    }
    world.put(0, &key(99), 9);
    world.connect(0);
    world.run();
    world.assert_level();
    assert_eq!(world.get(0, &key(99)), Some(9));
    world.server_put(&key(7), 7);
    world.run();
    world.connect(0);
    world.run();
    world.assert_level();
}

#[test]
fn an_op_whose_verdict_came_from_a_lost_history_is_pushed_to_the_next() {
    let mut world = World::connected(1);
    for number in 0..20 {
        world.server_put(&key(number), number);
    }
    world.run();
    let op = world.put(0, &key(99), 9);
    while world.send(0) {}
    while world.deliver(0, true).unwrap() {}
    assert!(world.devices[0].verdicts.contains_key(&op));
    // The server's disk is lost before the event arrives; another history is ahead of the old one.
    world.disconnect(0);
    world.server = Server::new(2);
    world.server.now_ms = 2_000_000_000;
    for number in 0..60 {
        world.server_put(&key(number), number);
    }
    // It takes no op before the device is level with it.
    world.server.deferrals = 7;
    world.connect(0);
    world.run();
    assert_eq!(world.get(0, &key(99)), Some(9));
    world.assert_level();
}

#[test]
fn a_map_that_may_not_be_followed_is_told_of_and_its_ops_are_settled() {
    let mut world = World::connected(1);
    let hidden = grid_core::MapName::new("hidden").unwrap();
    world.server.hidden.insert(hidden.clone());
    world.devices[0]
        .replica
        .open_map(&hidden, Selector::All)
        .unwrap();
    let now_ms = world.now_ms();
    let write = crate::device::put(&hidden, &key(1), 1);
    world.devices[0].write(vec![write], now_ms);
    world.run();
    assert_eq!(world.devices[0].replica.pending(), 0);
    assert_eq!(world.server.live(&hidden).len(), 1);
    assert!(!world.devices[0].replica.is_flushed());
}

#[test]
fn several_maps_follow_on_one_connection() {
    let mut world = World::connected(1);
    let other = grid_core::MapName::new("other").unwrap();
    world.devices[0]
        .replica
        .open_map(&other, Selector::All)
        .unwrap();
    world.run();
    let now_ms = world.now_ms();
    let map = world.map.clone();
    let writes = (0..40).map(|number| {
        let map = if number % 2 == 0 { &map } else { &other };
        crate::device::put(map, &key(number), number)
    });
    world.devices[0].write(writes.collect(), now_ms);
    world.run();
    assert_eq!(world.devices[0].replica.pending(), 0);
    assert_eq!(world.devices[0].seen(&other).len(), 20);
    assert!(world.devices[0].replica.is_synced(&other));
    world.assert_level();
}
