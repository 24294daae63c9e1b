use super::fixture::{World, address, everything, key, proposal, put, remove, sequence};
use crate::digest::EntryDigest;
use crate::merkle::{Answer, Descent, Progress};
use crate::partition::{Budget, ProposalBatch};
use crate::protocol::{RepairLeaves, RepairNodes, RepairStep, Selector, ViewId};
use crate::{MapName, PartitionId, Sequence};

fn names(records: &[crate::Record]) -> Vec<&str> {
    records.iter().map(|record| record.key.as_str()).collect()
}

#[test]
fn changes_name_each_changed_key_once_with_its_tombstones() {
    let mut world = World::new();
    world.push([
        put(1, 1, 0, "a", 1),
        put(1, 2, 1, "b", 1),
        put(1, 3, 2, "c", 1),
    ]);
    let cursor = world.partition.sequence();
    world.push([
        put(1, 4, 3, "a", 2),
        remove(1, 5, 4, "b"),
        put(1, 6, 5, "a", 3),
    ]);
    let all = Selector::All;
    let changes =
        world
            .partition
            .changes(&address("m"), &all, cursor, Sequence::ZERO, everything());
    assert_eq!(names(&changes.records), ["b", "a"]);
    assert!(changes.records[0].is_tombstone());
    assert_eq!(changes.records[1].sequence, sequence(6));
    assert!(changes.complete);
    assert_eq!(changes.through, sequence(6));
    // Someone who has nothing needs no tombstones.
    let snapshot = world.partition.changes(
        &address("m"),
        &all,
        Sequence::ZERO,
        world.partition.sequence(),
        everything(),
    );
    assert_eq!(names(&snapshot.records), ["c", "a"]);
}

#[test]
fn changes_come_in_pieces_that_miss_nothing_while_writes_go_on() {
    let mut world = World::new();
    world.push((1..=10).map(|n| put(1, n, 0, &format!("k{n}"), 1)));
    let budget = Budget {
        records: 3,
        bytes: usize::MAX,
    };
    let (mut at, mut seen, mut number) = (Sequence::ZERO, Vec::new(), 10);
    loop {
        let changes =
            world
                .partition
                .changes(&address("m"), &Selector::All, at, Sequence::ZERO, budget);
        assert!(changes.records.len() <= 3);
        seen.extend(changes.records.iter().map(|r| (r.key.clone(), r.sequence)));
        if changes.complete {
            break;
        }
        assert!(changes.through > at);
        at = changes.through;
        if number < 14 {
            number += 1;
            world.push_one(put(1, number, 5, "k1", 9));
        }
    }
    let mut latest = std::collections::BTreeMap::new();
    latest.extend(seen);
    assert_eq!(latest.len(), 10);
    let stands = world.partition.get(&address("m"), &key("k1")).unwrap();
    assert_eq!(latest[&key("k1")], stands.sequence);
}

#[test]
fn other_maps_and_other_prefixes_are_not_told() {
    let mut world = World::new();
    let mut other = put(1, 3, 2, "a/9", 1);
    other.map = MapName::new("other").unwrap();
    world.push([put(1, 1, 0, "a/1", 1), put(1, 2, 1, "b/1", 1), other]);
    let prefix = Selector::Prefix("a/".to_owned());
    let changes = world.partition.changes(
        &address("m"),
        &prefix,
        Sequence::ZERO,
        Sequence::ZERO,
        everything(),
    );
    assert_eq!(names(&changes.records), ["a/1"]);
    assert_eq!(changes.through, sequence(3));
}

#[test]
fn the_delta_log_stays_within_a_constant_of_the_keys() {
    let mut world = World::new();
    for number in 1..=2_000 {
        world.push_one(put(1, number, 0, &format!("k{}", number % 7), 1));
    }
    let map = world.partition.map(&address("m")).unwrap();
    assert_eq!(map.occupied(), 7);
    assert!(map.log_len() <= 2 * 7 + 64 + 1, "{}", map.log_len());
    let changes = world.partition.changes(
        &address("m"),
        &Selector::All,
        Sequence::ZERO,
        Sequence::ZERO,
        everything(),
    );
    assert_eq!(changes.records.len(), 7);
}

#[test]
fn pages_go_by_key_and_say_whether_there_is_more() {
    let mut world = World::new();
    world.push([
        put(1, 1, 0, "c", 1),
        put(1, 2, 1, "a", 1),
        put(1, 3, 2, "e", 1),
        put(1, 4, 3, "b", 1),
        put(1, 5, 4, "d", 1),
        remove(1, 6, 5, "b"),
    ]);
    let page = |after: Option<&str>, records, bytes| {
        let after = after.map(key);
        let budget = Budget { records, bytes };
        let page = world
            .partition
            .page(&address("m"), &Selector::All, after.as_ref(), budget);
        let names: Vec<String> = page.records.iter().map(|r| r.key.to_string()).collect();
        (names.concat(), page.more)
    };
    assert_eq!(page(None, 2, 100), ("ac".to_owned(), true));
    assert_eq!(page(Some("c"), 2, 100), ("de".to_owned(), false));
    assert_eq!(page(Some("e"), 2, 100), (String::new(), false));
    assert_eq!(page(None, 100, 5), ("ac".to_owned(), true));
    assert_eq!(page(None, 100, 0), ("a".to_owned(), true), "at least one");
}

#[test]
fn a_view_tells_where_it_changed_and_its_root_then() {
    let mut world = World::new();
    world.push([put(1, 1, 0, "a/1", 1), put(1, 2, 0, "b/1", 1)]);
    let prefix = Selector::Prefix("a/".to_owned());
    let mut view = world.partition.open_view(&address("m"), &prefix);
    assert_eq!(view.last(), sequence(1));
    let batch = |op| ProposalBatch {
        proposals: vec![proposal(op)],
        ..ProposalBatch::default()
    };
    let (decided, applied) = world.run(&batch(put(1, 3, 1, "b/1", 2)));
    assert_eq!(
        view.advance(&world.partition, &decided.effects, &applied),
        None
    );
    let (decided, applied) = world.run(&batch(put(1, 4, 2, "a/2", 2)));
    let change = view
        .advance(&world.partition, &decided.effects, &applied)
        .unwrap();
    assert_eq!((change.from, change.to), (sequence(1), sequence(4)));
    assert_eq!(change.records.len(), 1);
    assert_eq!(change.records[0].key, key("a/2"));
    assert_eq!(
        change.root,
        world.partition.open_view(&address("m"), &prefix).root()
    );
}

#[test]
fn a_descent_finds_what_a_client_holds_wrongly() {
    let mut world = World::new();
    world.push((1..=600).map(|n| put(1, n, 0, &format!("k{n}"), 1)));
    for selector in [Selector::All, Selector::Prefix("k1".to_owned())] {
        let partition = &world.partition;
        let truth: Vec<_> = partition.digests(&address("m"), &selector).collect();
        let mut held = truth.clone();
        let lost = held.swap_remove(5);
        held[17].digest ^= 1;
        let changed = held[17].key_hash;
        let found = descend(&world, &selector, &held);
        let mut wanted = vec![lost.key_hash, changed];
        wanted.sort_unstable();
        assert_eq!(found, wanted);
        let places = partition.find_hashes(&address("m"), &selector, &found);
        assert_eq!(places.len(), 2);
        for place in places {
            let record = partition.record_at(&address("m"), place).unwrap();
            assert!(selector.matches(&record.key));
        }
    }
}

/// Runs a descent against the partition, and returns the key hashes to fetch.
fn descend(world: &World, selector: &Selector, held: &[EntryDigest]) -> Vec<u64> {
    let (mut descent, first) = Descent::start();
    let (map, partition, view) = (address("m"), PartitionId(3), ViewId(1));
    let mut steps = std::collections::VecDeque::from([first]);
    while let Some(step) = steps.pop_front() {
        let (answer, level, parents) = match step {
            RepairStep::Nodes {
                bits,
                level,
                parents,
            } => {
                let answer = world
                    .partition
                    .repair_nodes(&map, selector, bits, level, &parents);
                (answer.unwrap(), level, parents)
            }
            RepairStep::Leaves { bits, leaves } => {
                let answer = world.partition.repair_leaves(&map, selector, bits, &leaves);
                (answer.unwrap(), 0, Vec::new())
            }
            other => panic!("{other:?}"),
        };
        let own = || held.iter().copied();
        let progress = match answer {
            Answer::Nodes { bits, sums } => {
                let nodes = RepairNodes {
                    view,
                    partition,
                    bits,
                    level,
                    parents,
                    sums,
                };
                descent.on_nodes(&nodes, own()).unwrap()
            }
            Answer::Leaves(listings) => {
                let mut last = Progress::Await;
                for listing in listings {
                    let leaves = RepairLeaves {
                        view,
                        partition,
                        bits: listing.bits,
                        leaves: listing.leaves,
                        entries: listing.entries,
                    };
                    last = descent.on_leaves(&leaves, own()).unwrap();
                }
                last
            }
            Answer::Snapshot => panic!("few differences"),
        };
        match progress {
            Progress::Ask(more) => steps.extend(more),
            Progress::Await => {}
            Progress::Snapshot => panic!("few differences"),
            Progress::Finished(difference) => return difference.fetch,
        }
    }
    panic!("the descent did not finish");
}
