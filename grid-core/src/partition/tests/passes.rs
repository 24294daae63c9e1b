//! Passes: what a system of record gets, and when it has everything.

use std::collections::BTreeMap;

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
        world.partition.begin_pass(sequence(4));
        let mut seen = Vec::new();
        loop {
            let piece = world.partition.piece(pieces_of(records));
            assert!(piece.records.len() <= records);
            assert_eq!(piece, world.partition.piece(pieces_of(records)), "again");
            world.partition.piece_stored(piece.end);
            seen.extend(piece.records);
            if piece.end.last {
                break;
            }
        }
        let mut expected = contents(&world.partition);
        expected.retain(|each| each.record.sequence > sequence(4));
        expected.sort_by_key(|each| each.record.sequence);
        assert_eq!(seen, expected, "{records} records a piece");
        assert!(
            world.partition.piece(Budget::ALL).records.is_empty(),
            "over"
        );
    }
}

#[test]
fn a_piece_holds_no_more_bytes_than_it_may_but_one_record_at_least() {
    let mut world = World::new();
    for number in 1..=6u64 {
        world.push_one(put(1, number, 0, &format!("k{number}"), 1));
    }
    world.partition.begin_pass(sequence(0));
    let whole = world.partition.piece(Budget::ALL);
    let bytes: usize = whole.records.iter().map(|each| each.record.size()).sum();
    let each = bytes / 6;
    for (bytes, records) in [(1, 1), (each, 1), (3 * each, 3), (3 * each + 1, 3)] {
        let budget = Budget {
            bytes,
            ..Budget::ALL
        };
        let piece = world.partition.piece(budget);
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
    world.partition.begin_pass(sequence(0));
    let mut stored = Stored::new();
    for pieces in 1.. {
        let piece = world.partition.piece(pieces_of(2));
        overwrite_all(&mut world);
        store(&mut stored, &piece);
        world.partition.piece_stored(piece.end);
        if piece.end.last {
            assert_eq!(pieces, 20, "39 entries by two");
            break;
        }
        assert!(pieces < 20, "it does not end");
    }
    assert_eq!(missing(&stored, &goal), [] as [&AddressedRecord; 0]);
}

#[test]
fn what_changes_while_its_piece_is_on_its_way_is_stored_again_only_if_the_piece_was_lost() {
    let mut world = World::new();
    for number in 1..=3 {
        world.push_one(put(1, number, 0, &format!("k{number}"), 1));
    }
    world.partition.begin_pass(sequence(0));
    let first = world.partition.piece(pieces_of(2));
    world.push_one(put(1, 4, 0, "k1", 2));
    // The first piece is lost: what took the place of its record comes instead.
    let again = world.partition.piece(Budget::ALL);
    assert!(again.end.last);
    let sequences = again.records.iter().map(|each| each.record.sequence.0);
    assert_eq!(sequences.collect::<Vec<_>>(), [4, 2, 3]);
    // It is not lost: it held the record.
    world.partition.piece_stored(first.end);
    let rest = world.partition.piece(Budget::ALL);
    assert!(rest.end.last);
    let sequences = rest.records.iter().map(|each| each.record.sequence.0);
    assert_eq!(sequences.collect::<Vec<_>>(), [3]);
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
    fn after_a_pass_everything_up_to_its_goal_is_stored(
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
        let goal = contents(&world.partition);
        world.partition.begin_pass(after);
        let mut taken = None;
        let mut is_over = false;
        let rest = (0..100).flat_map(|_| [Step::Take(3), Step::Store]);
        for step in steps.into_iter().chain(rest) {
            match step {
                Step::Write(entry) => write(&mut world, entry),
                // One that was taken and not stored is lost.
                Step::Take(records) => taken = Some(world.partition.piece(pieces_of(records))),
                Step::Late => if let Some(piece) = taken.take() {
                    store(&mut stored, &piece);
                }
                Step::Store => if let Some(piece) = taken.take() {
                    store(&mut stored, &piece);
                    world.partition.piece_stored(piece.end);
                    is_over |= piece.end.last;
                    if is_over {
                        break;
                    }
                }
            }
        }
        prop_assert!(is_over, "it does not end");
        prop_assert_eq!(missing(&stored, &goal), [] as [&AddressedRecord; 0]);
    }
}
