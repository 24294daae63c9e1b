//! Passes: what a system of record gets, and when it has everything.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fixture::{World, contents, put, remove, sequence};
use crate::op::Op;
use crate::partition::{Budget, Piece};
use crate::traits::{AddressedRecord, RecordCursor};
use crate::{MapName, Sequence};

/// What a system of record has: the sequence of each entry's version.
type Stored = BTreeMap<RecordCursor, Sequence>;

fn pieces_of(records: usize) -> Budget {
    Budget {
        records,
        ..Budget::ALL
    }
}

fn store(stored: &mut Stored, piece: &Piece) {
    for each in &piece.records {
        let latest = stored.entry(RecordCursor::of(each)).or_default();
        *latest = each.record.sequence.max(*latest);
    }
}

/// A write of one of 13 entries in three maps; each fifth is a removal.
fn write(number: u64, entry: u64) -> Op {
    let name = format!("k{}", entry % 13);
    let mut op = match number % 5 {
        0 => remove(1, number, 0, &name),
        _ => put(1, number, 0, &name, 1),
    };
    op.map = MapName::new(["m", "n", "o"][(entry % 3) as usize]).unwrap();
    op
}

/// The entries whose version of now is not stored, nor a later one.
fn missing<'a>(stored: &Stored, wanted: &'a [AddressedRecord]) -> Vec<&'a AddressedRecord> {
    let lacks = |each: &&AddressedRecord| {
        stored
            .get(&RecordCursor::of(each))
            .is_none_or(|latest| *latest < each.record.sequence)
    };
    wanted.iter().filter(lacks).collect()
}

#[test]
fn a_pass_over_a_partition_at_rest_gives_every_change_in_order_and_none_twice() {
    let mut world = World::new();
    for number in 1..=40u64 {
        world.push_one(write(number, number));
    }
    for records in [1, 2, 3, 7, 100] {
        let first = world.partition.begin_pass(sequence(4), pieces_of(records));
        assert_eq!(Some(first), world.partition.piece(pieces_of(records)));
        let mut seen = Vec::new();
        while let Some(piece) = world.partition.piece(pieces_of(records)) {
            assert!(piece.records.len() <= records);
            let again = world.partition.piece(pieces_of(records));
            assert_eq!(Some(&piece), again.as_ref(), "again");
            world.partition.piece_stored(piece.end);
            seen.extend(piece.records);
            assert_eq!(world.partition.piece(Budget::ALL).is_none(), piece.end.last);
        }
        let mut expected = contents(&world.partition);
        expected.retain(|each| each.record.sequence > sequence(4));
        expected.sort_by_key(|each| each.record.sequence);
        assert_eq!(seen, expected, "{records} records a piece");
    }
}

#[test]
fn a_piece_holds_no_more_bytes_than_it_may_but_one_record_at_least() {
    let mut world = World::new();
    for number in 1..=6u64 {
        world.push_one(put(1, number, 0, &format!("k{number}"), 1));
    }
    let whole = world.partition.begin_pass(sequence(0), Budget::ALL);
    let bytes: usize = whole.records.iter().map(|each| each.record.size()).sum();
    let each = bytes / 6;
    for (bytes, records) in [(1, 1), (each, 1), (3 * each, 3), (3 * each + 1, 3)] {
        let budget = Budget {
            bytes,
            ..Budget::ALL
        };
        let piece = world.partition.piece(budget).unwrap();
        assert_eq!(piece.records[..], whole.records[..records], "{bytes} bytes");
        assert!(!piece.end.last && whole.end.last);
    }
}

#[test]
fn a_pass_ends_although_every_entry_changes_between_its_pieces() {
    let mut world = World::new();
    let mut number = 0;
    let mut overwrite_all = |world: &mut World| {
        for entry in 0..39 {
            number += 1;
            world.push_one(write(number, entry));
        }
    };
    overwrite_all(&mut world);
    let goal = contents(&world.partition);
    let mut piece = world.partition.begin_pass(sequence(0), pieces_of(2));
    let mut stored = Stored::new();
    for pieces in 1.. {
        overwrite_all(&mut world);
        store(&mut stored, &piece);
        world.partition.piece_stored(piece.end);
        if piece.end.last {
            assert_eq!(pieces, 20, "39 entries by two");
            break;
        }
        assert!(pieces < 20, "it does not end");
        piece = world.partition.piece(pieces_of(2)).unwrap();
    }
    assert_eq!(missing(&stored, &goal), [] as [&AddressedRecord; 0]);
}

#[test]
fn what_changes_while_its_piece_is_on_its_way_is_stored_again_only_if_the_piece_was_lost() {
    let mut world = World::new();
    for number in 1..=3 {
        world.push_one(put(1, number, 0, &format!("k{number}"), 1));
    }
    let first = world.partition.begin_pass(sequence(0), pieces_of(2));
    world.push_one(put(1, 4, 0, "k1", 2));
    // The first piece is lost: what took the place of its record comes instead.
    let again = world.partition.piece(Budget::ALL).unwrap();
    assert!(again.end.last);
    let sequences = again.records.iter().map(|each| each.record.sequence.0);
    assert_eq!(sequences.collect::<Vec<_>>(), [4, 2, 3]);
    // It is not lost: it held the record.
    world.partition.piece_stored(first.end);
    let rest = world.partition.piece(Budget::ALL).unwrap();
    assert!(rest.end.last);
    let sequences = rest.records.iter().map(|each| each.record.sequence.0);
    assert_eq!(sequences.collect::<Vec<_>>(), [3]);
}

#[test]
fn what_was_stored_ahead_of_a_goal_is_left_out_of_the_next_pass() {
    let mut world = World::new();
    for number in 1..=3 {
        world.push_one(put(1, number, 0, &format!("k{number}"), 1));
    }
    let first = world.partition.begin_pass(sequence(0), pieces_of(1));
    for (number, key) in [(4, "k2"), (5, "k3")] {
        world.push_one(put(1, number, 0, key, 2));
    }
    world.partition.piece_stored(first.end);
    let ahead = world.partition.piece(Budget::ALL).unwrap();
    assert!(ahead.end.last);
    let sequences = |piece: &Piece| -> Vec<u64> {
        let records = piece.records.iter();
        records.map(|each| each.record.sequence.0).collect()
    };
    assert_eq!(sequences(&ahead), [4, 5]);
    // What has changed while the piece was on its way is not stored.
    world.push_one(put(1, 6, 0, "k3", 3));
    world.partition.piece_stored(ahead.end);
    let next = world.partition.begin_pass(sequence(3), Budget::ALL);
    assert_eq!(sequences(&next), [6]);
    assert!(next.end.last);
}

/// What happens between two pieces, or to one.
#[derive(Debug, Clone)]
enum Step {
    Write(u64),
    /// Takes a piece of so many records.
    Take(usize),
    /// The piece that was taken is stored.
    Store,
    /// The same, but no answer comes.
    Late,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..39u64).prop_map(Step::Write),
        1 => (1..5usize).prop_map(Step::Take),
        1 => Just(Step::Store),
        1 => Just(Step::Late),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn after_each_pass_everything_up_to_its_goal_is_stored_and_no_version_twice(
        before in prop::collection::vec(0..39u64, 1..60),
        already in 0..20u64,
        steps in steps(),
    ) {
        let mut world = World::new();
        let mut number = 0;
        let mut write = |world: &mut World, entry| {
            number += 1;
            world.push_one(write(number, entry));
        };
        for entry in before {
            write(&mut world, entry);
        }
        let after = sequence(already.min(world.partition.sequence().0));
        let mut stored = Stored::new();
        for each in contents(&world.partition) {
            if each.record.sequence <= after {
                stored.insert(RecordCursor::of(&each), each.record.sequence);
            }
        }
        let (mut passes, mut goal) = (0, contents(&world.partition));
        world.partition.begin_pass(after, Budget::ALL);
        let mut taken = None;
        let mut told = BTreeSet::new();
        let rest = (0..100).flat_map(|_| [Step::Take(3), Step::Store]);
        for step in steps.into_iter().chain(rest) {
            match step {
                Step::Write(entry) => write(&mut world, entry),
                // One that was taken and not stored is lost.
                Step::Take(records) => taken = world.partition.piece(pieces_of(records)),
                Step::Late => if let Some(piece) = taken.take() {
                    store(&mut stored, &piece);
                }
                Step::Store => if let Some(piece) = taken.take() {
                    store(&mut stored, &piece);
                    world.partition.piece_stored(piece.end);
                    for each in &piece.records {
                        let sequence = each.record.sequence;
                        prop_assert!(told.insert(sequence), "{sequence} is stored twice");
                    }
                    if piece.end.last {
                        prop_assert_eq!(missing(&stored, &goal), [] as [&AddressedRecord; 0]);
                        let through = goal.iter().map(|each| each.record.sequence).max();
                        goal = contents(&world.partition);
                        world.partition.begin_pass(through.unwrap_or(after), Budget::ALL);
                        passes += 1;
                    }
                }
            }
        }
        prop_assert!(passes > 1, "it does not end");
        let all = contents(&world.partition);
        prop_assert_eq!(missing(&stored, &all), [] as [&AddressedRecord; 0]);
    }
}
