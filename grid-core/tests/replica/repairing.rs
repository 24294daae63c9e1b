//! Repair by Merkle tree: whatever is wrong with the confirmed state, it becomes the server's.

use bytes::Bytes;
use grid_core::PartitionId;
use grid_core::protocol::{Message, RepairStep, Verdict};
use grid_core::traits::Table;
use proptest::prelude::*;

use crate::server::PARTITIONS;
use crate::world::{World, key};

/// Lets a device follow a map of `entries`, then changes its store behind its back.
fn damaged(
    entries: u64,
    damage: impl FnOnce(&mut std::collections::BTreeMap<Bytes, Bytes>),
) -> World {
    let mut world = World::connected(1);
    for number in 0..entries {
        world.server_put(&key(number), number);
    }
    world.run();
    world.disconnect(0);
    let table = Table::Records(world.map.clone());
    damage(world.devices[0].store.rows_mut(&table));
    world.crash(0);
    world
}

/// The repair steps that a device sends until it is level.
fn repair(world: &mut World) -> Vec<(PartitionId, RepairStep)> {
    world.connect(0);
    let mut steps = Vec::new();
    loop {
        let now = world.devices[0].now(world.now_ms());
        while let Some(message) = world.devices[0].replica.next_message(now) {
            if let Message::Repair(repair) = &message {
                steps.push((repair.partition, repair.step.clone()));
            }
            world.server.handle(0, message);
        }
        if !world.deliver(0, false).unwrap() {
            break;
        }
    }
    world.run();
    steps
}

#[test]
fn a_damaged_record_is_fetched_alone() {
    let mut world = damaged(2_000, |rows| {
        // Another row's bytes: a wrong version under the key.
        let other = rows[&key(7).bytes()[..]].clone();
        let row = rows.get_mut(&key(1_234).bytes()[..]).unwrap();
        assert_ne!(*row, other);
        let middle = row.len() / 2;
        *row = [&row[..middle], &row[middle..]].concat().into();
        rows.remove(&key(55).bytes()[..]);
    });
    let steps = repair(&mut world);
    let fetched: usize = steps
        .iter()
        .map(|(_, step)| match step {
            RepairStep::Fetch { keys } => keys.len(),
            RepairStep::Snapshot => panic!("no snapshot for one entry"),
            _ => 0,
        })
        .sum();
    assert_eq!(fetched, 1);
    world.assert_level();
}

#[test]
fn an_evicted_store_gets_everything_again() {
    let mut world = damaged(2_000, std::collections::BTreeMap::clear);
    assert!(world.seen(0).is_empty());
    let steps = repair(&mut world);
    let snapshot = |(_, step): &(_, RepairStep)| *step == RepairStep::Snapshot;
    assert!(steps.iter().any(snapshot), "more than half differ");
    world.assert_level();
}

#[test]
fn events_during_a_repair_are_neither_lost_nor_undone() {
    let mut world = damaged(1_000, |rows| {
        for number in 0..50 {
            rows.remove(&key(number * 7).bytes()[..]);
        }
    });
    // Something that the server never had.
    world.connect(0);
    for step in 0..200 {
        while world.send(0) {}
        world.deliver(0, false).unwrap();
        match step % 4 {
            0 => world.server_put(&key(step * 7), 5_000 + step),
            1 => world.server_remove(&key(step * 3)),
            2 => world.server_put(&key(2_000 + step), step),
            _ => {}
        }
    }
    world.run();
    world.assert_level();
}

/// Seed 4384 of the scenario `deletions`: the verdict tells of an op in another map too, and names
/// the sequence of that one; no answer names it.
#[test]
fn an_op_settles_after_the_repair_of_a_view_that_did_not_change() {
    let mut world = World::connected(1);
    for number in 0..200 {
        world.server_put(&key(number), number);
    }
    world.run();
    // Not sent before a later version is there: the op will lose, and so change nothing.
    let op = world.put(0, &key(1), 9);
    world.server.now_ms += 1_000;
    world.server_put(&key(1), 10);
    while world.deliver(0, false).unwrap() {}
    world.disconnect(0);
    let table = Table::Records(world.map.clone());
    let rows = world.devices[0].store.rows_mut(&table);
    assert!(rows.remove(&key(1).bytes()[..]).is_some());
    world.crash(0);
    let other = grid_core::MapName::new("other").unwrap();
    for number in 0..40 {
        world.server.write(&other, &key(number), Some(vec![0x01]));
    }
    world.connect(0);
    assert!(world.deliver(0, false).unwrap(), "the handshake");
    let now = world.devices[0].now(world.now_ms());
    let sent: Vec<Message> =
        std::iter::from_fn(|| world.devices[0].replica.next_message(now)).collect();
    let (pushes, others): (Vec<_>, Vec<_>) = sent
        .into_iter()
        .partition(|message| matches!(message, Message::Push(_)));
    assert!(!pushes.is_empty());
    // The op is decided before the view is open, so no event tells how far the partition is.
    for message in pushes.into_iter().chain(others) {
        world.server.handle(0, message);
    }
    let acks = &mut world.server.links.get_mut(&0).unwrap().acks;
    for message in acks.iter_mut() {
        if let Message::Ack(ack) = message {
            ack.sequence = world.server.partitions[&ack.partition].sequence();
        }
    }
    while world.deliver(0, true).unwrap() {}
    world.run();
    assert!(matches!(
        world.devices[0].verdicts[&op],
        Verdict::Superseded(_)
    ));
    world.assert_level();
}

#[test]
fn an_op_settles_only_after_the_repair_of_its_partition() {
    let mut world = damaged(2, std::collections::BTreeMap::clear);
    let facts = world.devices[0].store.rows_mut(&Table::Meta);
    assert!(facts.remove(&b"clock"[..]).is_some());
    world.crash(0);
    // Made long ago: it loses against the version that this device lost.
    world.devices[0].fast_ms = -500_000_000;
    let op = world.put(0, &key(1), 9);
    world.connect(0);
    let mut settled = false;
    loop {
        let sent = world.send(0);
        let decided = world.deliver(0, true).unwrap();
        let seen = world.get(0, &key(1));
        assert!(seen == Some(1) || (seen == Some(9) && !settled), "{seen:?}");
        settled |= seen == Some(1);
        if !sent && !decided && !world.deliver(0, false).unwrap() {
            break;
        }
    }
    assert!(matches!(
        world.devices[0].verdicts[&op],
        Verdict::Superseded(_)
    ));
    assert!(settled);
    world.run();
    world.assert_level();
}

#[test]
fn a_map_is_not_called_level_while_it_is_repaired() {
    let mut world = damaged(500, |rows| {
        for number in 0..20 {
            rows.remove(&key(number * 7).bytes()[..]);
        }
    });
    world.connect(0);
    world.devices[0].synced.clear();
    let mut repairing = 0;
    while world.send(0) || world.deliver(0, false).unwrap() {
        let level = world.seen(0) == world.truth();
        assert!(level || !world.devices[0].replica.is_synced(&world.map));
        repairing += usize::from(!level && world.repairs > 0);
    }
    assert!(repairing > 0);
    assert_eq!(world.devices[0].synced, [true], "told once, at the end");
    world.run();
    world.assert_level();
}

/// The descent found that the server does not have a key; by the time the other answers are here,
/// it does.
#[test]
fn a_key_that_comes_to_the_server_during_a_repair_is_not_removed_by_it() {
    let mut world = damaged(2_000, |rows| {
        let like = rows[&key(1).bytes()[..]].clone();
        for stranger in 5_000..5_030 {
            let name = key(stranger).bytes().clone();
            rows.insert(name.clone(), rewritten(&like, &name));
        }
        for missing in 0..60 {
            rows.remove(&key(missing * 20).bytes()[..]);
        }
    });
    world.connect(0);
    let mut told = false;
    loop {
        while let Some(message) = {
            let now = world.devices[0].now(world.now_ms());
            world.devices[0].replica.next_message(now)
        } {
            let fetches = matches!(
                &message,
                Message::Repair(repair) if matches!(repair.step, RepairStep::Fetch { .. })
            );
            if fetches && !std::mem::replace(&mut told, true) {
                // Before the answer: the event comes first.
                for stranger in 5_000..5_030 {
                    world.server_put(&key(stranger), stranger);
                }
            }
            world.server.handle(0, message);
        }
        if !world.deliver(0, false).unwrap() {
            break;
        }
        if told {
            let seen = world.seen(0);
            let known = (5_000..5_030).filter(|stranger| seen.contains_key(&key(*stranger)));
            assert_eq!(known.count(), 30, "they never vanish");
        }
    }
    assert!(told);
    world.run();
    world.assert_level();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_damage_is_repaired_exactly(
        entries in 1u64..1_000,
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        moved in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..60),
        strangers in prop::collection::vec((1_000u64..3_000, any::<prop::sample::Index>()), 0..40),
        removed in prop::collection::vec(0u64..1_500, 0..20),
    ) {
        let mut world = damaged(entries, |rows| {
            let names: Vec<Bytes> = rows.keys().cloned().collect();
            for (from, to) in moved {
                // The row of one key under another, with the key inside replaced.
                let from = from.get(&names);
                let row = rewritten(&rows[from], to.get(&names));
                rows.insert(to.get(&names).clone(), row);
            }
            for (number, like) in strangers {
                let name = key(number).bytes().clone();
                let row = rewritten(&rows[like.get(&names)], &name);
                rows.insert(name, row);
            }
            for index in lost {
                rows.remove(index.get(&names));
            }
        });
        for number in removed {
            world.server_remove(&key(number));
        }
        let steps = repair(&mut world);
        world.assert_level();
        // One finds what differs; when there is nothing to fetch, another sees that all is well.
        for partition in 0..PARTITIONS {
            let descents = steps.iter().filter(|(at, step)| {
                *at == PartitionId(partition) && matches!(step, RepairStep::Nodes { bits: 0, .. })
            });
            prop_assert!(descents.count() <= 2, "{steps:?}");
        }
    }
}

/// The same record under another key.
fn rewritten(row: &Bytes, key: &Bytes) -> Bytes {
    let (partition, record) = row.split_at(2);
    let mut record = grid_core::codec::decode_record(&Bytes::copy_from_slice(record)).unwrap();
    record.key = grid_core::Key::from_bytes(key.clone()).unwrap();
    let mut row = bytes::BytesMut::from(partition);
    grid_core::codec::encode_record(&record, &mut row);
    row.freeze()
}
