use super::fixture::{World, contents, put, remove};
use crate::op::OpId;
use crate::partition::{CatchUp, Effects, Partition};
use crate::protocol::Verdict;
use crate::{History, RunId, Sequence};

const NEXT: History = History(12);

fn op(number: u64) -> OpId {
    OpId {
        run: RunId(1),
        number,
    }
}

/// A partition whose system of record was stopped between the records of a batch and its state
/// record: five changes, of which the state record knows three.
fn stopped_between() -> (World, Partition) {
    let mut world = World::new();
    world.push((1..=3).map(|number| put(1, number, 0, &format!("k{number}"), 1)));
    let lagging = world.save().state;
    world.push([put(1, 4, 5_000, "k1", 2), remove(1, 5, 7_000, "k2")]);
    let mut saved = world.save();
    saved.state = lagging;
    world.journal.truncate(1);
    let partition = world.restart(&saved);
    (world, partition)
}

#[test]
fn sequences_of_a_new_history_go_on_after_everything_that_is_held() {
    let (mut world, mut partition) = stopped_between();
    assert_eq!(partition.sequence(), Sequence(3));
    assert_eq!(partition.newest(), Sequence(5));
    let held = contents(&partition);
    let latest = held.iter().map(|held| held.record.stamp.hlc).max();
    partition.begin_history(NEXT);
    assert_eq!(partition.history(), NEXT);
    assert_eq!(partition.sequence(), Sequence(5));
    assert_eq!(Some(partition.clock), latest);
    assert_eq!(contents(&partition), held, "nothing else changes");
    world.partition = partition;
    assert_eq!(world.push_one(put(2, 1, 9_000, "k3", 3)), Verdict::Accepted);
    let sequences: Vec<u64> = contents(&world.partition)
        .iter()
        .map(|held| held.record.sequence.0)
        .collect();
    assert_eq!(sequences, [4, 5, 6], "no two share one");
    let state = world.partition.save(crate::traits::Position(7));
    assert_eq!((state.history, state.sequence), (NEXT, Sequence(6)));
}

#[test]
fn what_the_state_record_knows_is_known_to_be_decided_and_what_came_later_is_decided_alike() {
    let (mut world, mut partition) = stopped_between();
    partition.begin_history(NEXT);
    assert!(partition.has_decided(op(3)));
    assert!(!partition.has_decided(op(4)));
    assert!(!partition.has_decided(OpId {
        run: RunId(9),
        number: 1
    }));
    world.partition = partition;
    let again = world.push([put(1, 4, 5_000, "k1", 2), remove(1, 5, 7_000, "k2")]);
    assert_eq!(again, [Verdict::Accepted, Verdict::Accepted]);
    assert_eq!(world.partition.sequence(), Sequence(5), "nothing changed");
}

#[test]
fn a_cursor_of_another_history_or_beyond_the_sequence_is_of_no_use() {
    let (_, mut partition) = stopped_between();
    let old = partition.history();
    partition.begin_history(NEXT);
    assert_eq!(partition.catch_up(old, Some(Sequence(3))), CatchUp::Reset);
    assert_eq!(partition.catch_up(NEXT, Some(Sequence(6))), CatchUp::Reset);
    assert!(!partition.is_overtaken(old, Some(Sequence(6))));
    assert!(partition.is_overtaken(NEXT, Some(Sequence(6))));
    assert!(!partition.is_overtaken(NEXT, Some(Sequence(5))));
    assert!(!partition.is_overtaken(NEXT, None));
    let level = CatchUp::Changes(Sequence(5));
    assert_eq!(partition.catch_up(NEXT, Some(Sequence(5))), level);
}

#[test]
fn a_journal_that_was_written_before_says_nothing_about_histories() {
    let mut world = World::new();
    let mut kept = world.partition.clone();
    kept.begin_history(NEXT);
    world.push([put(1, 1, 0, "k", 1)]);
    kept.apply(&Effects::decode(&world.journal[0]).unwrap())
        .unwrap();
    assert_eq!(contents(&kept), contents(&world.partition));
}
