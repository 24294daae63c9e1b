//! What a store gives back: the same state, the same pending ops, another run.

use std::collections::BTreeMap;

use grid_core::op::Action;
use grid_core::protocol::Message;
use grid_core::replica::{LocalWrite, MAX_OPS_PER_ROW};
use grid_core::traits::Table;
use grid_core::{Namespace, OpId, RunId};

use crate::device::{Device, put};
use crate::world::{World, key};

/// The ops that a device would push to a new server, in order.
fn outbox(device: &Device) -> Vec<grid_core::op::Op> {
    let mut replica = device.store.load(Namespace::default(), RunId(1)).unwrap();
    let mut world = World::new(1);
    world.server.push_window = u32::MAX;
    let now = device.now(world.now_ms());
    let hello = replica.connect(vec!["cbor".to_owned()], None, now);
    world.server.handle(0, Message::Hello(hello));
    let welcome = world.server.links.get_mut(&0).unwrap().events.pop_front();
    replica.receive(welcome.unwrap(), now).unwrap();
    std::iter::from_fn(|| replica.next_message(now))
        .filter_map(|message| match message {
            Message::Push(push) => Some(push.ops),
            _ => None,
        })
        .flatten()
        .collect()
}

#[test]
fn a_restart_gives_back_what_was_seen_and_the_same_ops() {
    let mut world = World::connected(1);
    for number in 0..10 {
        world.server_put(&key(number), number);
    }
    world.run();
    world.server.links.clear();
    let mut ids: Vec<OpId> = Vec::new();
    for round in 0..3 {
        ids.push(world.put(0, &key(round), 100 + round));
        ids.push(world.remove(0, &key(round + 1)));
        let seen = world.seen(0);
        world.crash(0);
        assert_eq!(world.seen(0), seen);
    }
    let pending = outbox(&world.devices[0]);
    assert_eq!(pending.iter().map(|op| op.id).collect::<Vec<_>>(), ids);
    assert!(
        pending.windows(2).all(|pair| pair[0].hlc < pair[1].hlc),
        "clocks go on"
    );
    world.connect(0);
    world.run();
    assert_eq!(world.server.links[&0].pushed, ids);
    world.assert_level();
}

/// A clock may be set while no process is there to see it jump, so what was measured of it ends
/// with the process that measured it.
#[test]
fn what_is_due_goes_by_the_servers_clock_once_it_was_heard_on_this_opening() {
    const SLOW_MS: u64 = 50_000;
    const TTL_MS: u64 = 20_000;
    let mut world = World::new(1);
    world.devices[0].fast_ms = -SLOW_MS.cast_signed();
    let wall_ms = world.devices[0].now(world.now_ms()).wall_ms;
    let mut write = put(&world.map, &key(1), 1);
    let Action::Put { ttl_ms, .. } = &mut write.action else {
        panic!("a put");
    };
    *ttl_ms = Some(TTL_MS);
    let now_ms = world.now_ms();
    world.devices[0].write(vec![write], now_ms);
    for _ in 0..2 {
        let shows = |world: &World, wall_ms| {
            let entries = world.devices[0].replica.entries(&world.map, wall_ms);
            entries.count() == 1
        };
        assert_eq!(world.devices[0].replica.server_time(wall_ms), wall_ms);
        assert!(shows(&world, wall_ms) && shows(&world, wall_ms + TTL_MS - 1));
        assert!(!shows(&world, wall_ms + TTL_MS));
        world.connect(0);
        world.deliver(0, false).unwrap();
        let server_ms = world.devices[0].replica.server_time(wall_ms);
        assert_eq!(server_ms, wall_ms + SLOW_MS);
        assert!(!shows(&world, wall_ms));
        assert!(shows(&world, wall_ms + TTL_MS - 1 - SLOW_MS));
        world.crash(0);
    }
}

/// Pitfall 12: a copied local database issues the same op ids as the original.
#[test]
fn two_openings_of_a_copied_store_are_two_runs_and_lose_nothing() {
    let mut world = World::connected(2);
    world.put(0, &key(1), 1);
    world.server.links.clear();
    world.put(0, &key(2), 2);
    world.devices[1].store = world.devices[0].store.clone();
    world.crash(0);
    world.crash(1);
    assert_eq!(world.seen(0), world.seen(1));
    let first = world.put(0, &key(10), 10);
    let second = world.put(1, &key(11), 11);
    assert_ne!(first.run, second.run);
    world.connect(0);
    world.connect(1);
    world.run();
    world.assert_level();
    let truth = world.truth();
    assert_eq!(truth.len(), 4, "{truth:?}");
}

#[test]
fn rows_of_the_outbox_are_packed_and_go_when_their_last_op_is_settled() {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let writes: Vec<LocalWrite> = (0..2_500)
        .map(|number| put(&map, &key(number), number))
        .collect();
    world.devices[0].write(writes, now_ms);
    let rows = |world: &World| world.devices[0].store.rows(&Table::Log).count();
    assert_eq!(rows(&world), 2_500usize.div_ceil(MAX_OPS_PER_ROW));
    while world.send(0) {}
    // One of the first ops is settled: its row stays, the op is not loaded again.
    while world.devices[0].replica.pending() == 2_500 {
        world.deliver(0, false).unwrap();
        world.deliver(0, true).unwrap();
    }
    let left = world.devices[0].replica.pending();
    world.devices[0].save(now_ms);
    assert_eq!(rows(&world), 3);
    assert_eq!(outbox(&world.devices[0]).len(), left);
    world.run();
    assert_eq!(rows(&world), 0);
    let meta: Vec<_> = world.devices[0].store.rows(&Table::Meta).collect();
    assert!(!meta.iter().any(|row| row.key.starts_with(b"settled/")));
    world.assert_level();
}

#[test]
fn large_values_have_rows_of_their_own_size() {
    let mut world = World::new(1);
    let map = world.map.clone();
    let writes = (0..4).map(|number| LocalWrite {
        action: Action::Put {
            value: vec![0x40; 200_000].into(),
            ttl_ms: None,
        },
        ..put(&map, &key(number), 0)
    });
    world.devices[0].write(writes.collect(), 1);
    let rows: Vec<_> = world.devices[0].store.rows(&Table::Log).collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.value.len() < 210_000));
}

#[test]
fn a_crash_between_verdict_and_confirmation_shows_no_old_value() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    world.run();
    world.put(0, &key(1), 2);
    while world.send(0) {}
    while world.deliver(0, true).unwrap() {}
    world.crash(0);
    assert_eq!(world.get(0, &key(1)), Some(2));
    world.connect(0);
    while world.send(0) || world.deliver(0, false).unwrap() || world.deliver(0, true).unwrap() {
        assert_eq!(world.get(0, &key(1)), Some(2));
    }
    // The same verdict again, from what the server remembers.
    world.run();
    world.assert_level();
    assert_eq!(
        world.server.live(&world.map)[&key(1)].sequence.0,
        2,
        "applied once"
    );
}

/// A device whose write of 100 over 1 was rejected; its store has not heard of that.
fn rejected() -> World {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    world.run();
    world.server.forbidden.insert(key(1));
    world.put(0, &key(1), 100);
    while world.send(0) {}
    while world.deliver(0, true).unwrap() {}
    assert_eq!(world.get(0, &key(1)), Some(1));
    world
}

#[test]
fn a_rejection_that_a_power_cut_took_back_is_told_again() {
    let mut world = rejected();
    // It would be taken by now; the server remembers what it has said.
    world.server.forbidden.clear();
    world.crash(0);
    assert_eq!(world.get(0, &key(1)), Some(100), "pending again");
    world.connect(0);
    world.run();
    assert_eq!(world.get(0, &key(1)), Some(1));
    world.assert_level();
}

#[test]
fn what_is_written_after_a_rejection_is_not_stored_without_it() {
    let mut world = rejected();
    world.server.forbidden.clear();
    world.put(0, &key(1), 101);
    world.crash(0);
    assert_eq!(world.devices[0].replica.pending(), 1);
    world.connect(0);
    world.run();
    assert_eq!(world.get(0, &key(1)), Some(101));
    world.assert_level();
    let fates = world.devices[0].replica.status().fates;
    assert_eq!((fates.acked, fates.rejected), (1, 1));
}

#[test]
fn the_clock_goes_on_behind_everything_that_was_made_or_seen() {
    let mut world = World::connected(1);
    world.put(0, &key(1), 1);
    world.run();
    let before = world.devices[0].version(&world.map, &key(1));
    world.crash(0);
    // The wall clock went back by a day.
    world.devices[0].fast_ms = -86_400_000;
    world.put(0, &key(1), 2);
    let pending = outbox(&world.devices[0]);
    assert!(pending[0].hlc > before.hlc);
    world.connect(0);
    world.run();
    assert_eq!(world.get(0, &key(1)), Some(2));
}

#[test]
fn a_store_of_nothing_but_pending_ops_of_many_maps_loads() {
    let mut world = World::new(1);
    let names: Vec<_> = ["a-b", "ü", "x/y", "$sys"]
        .map(|name| grid_core::MapName::new(name).unwrap())
        .into();
    let writes = names.iter().map(|name| put(name, &key(1), 5)).collect();
    world.devices[0].write(writes, 1);
    let run = world.devices[0].draw_run();
    let loaded = world.devices[0]
        .store
        .load(Namespace::default(), run)
        .unwrap();
    let seen: BTreeMap<_, _> = names
        .iter()
        .map(|name| (name, loaded.get(name, &key(1), 0).is_some()))
        .collect();
    assert!(seen.values().all(|seen| *seen), "{seen:?}");
    assert_eq!(loaded.pending(), 4);
}

#[test]
fn a_store_knows_what_became_of_its_ops_and_what_is_pending_where() {
    let mut world = World::connected(2);
    world.server.links.remove(&0);
    world.put(0, &key(1), 10);
    world.server.now_ms += 3_600_000;
    world.put(1, &key(1), 20);
    for number in 2..5 {
        world.put(0, &key(number), number);
    }
    world.connect(0);
    world.run();
    world.crash(0);
    world.server.links.remove(&0);
    world.put(0, &key(1), 30);
    world.put(0, &key(5), 5);
    world.put(0, &key(5), 6);
    // As the store tells it to a program that opens no map.
    let now_ms = world.now_ms();
    world.devices[0].save(now_ms);
    let status = world.devices[0]
        .store
        .load(Namespace::default(), RunId(1 << 40))
        .unwrap()
        .status();
    let fates = status.fates;
    assert_eq!((fates.acked, fates.superseded, fates.rejected), (3, 1, 0));
    assert_eq!((status.pending, status.maps.len()), (3, 1));
    let map = &status.maps[0];
    assert_eq!((map.pending, map.confirmed, map.entries), (3, 4, 5));
    assert!(!map.cursor.is_empty());

    world.connect(0);
    world.run();
    let status = world.devices[0].replica.status();
    assert_eq!(status.fates.acked, 6);
    assert_eq!((status.maps[0].pending, status.maps[0].entries), (0, 5));
}
