use bytes::Bytes;

use super::super::row::log_key;
use super::*;
use crate::op::Action;
use crate::traits::Table;
use crate::{Hlc, Key, MapName};

const RUN: RunId = RunId(7);

fn op(number: u64, bytes: usize) -> Op {
    Op {
        id: OpId { run: RUN, number },
        hlc: Hlc::new(1_000, 0),
        map: MapName::new("m").unwrap(),
        key: Key::new(&format!("k{number}")).unwrap(),
        action: Action::Put {
            value: Bytes::from(vec![0; bytes]),
            ttl_ms: None,
        },
        base: Hlc::ZERO,
        if_version: None,
        schema: 0,
        ack: None,
    }
}

/// An outbox with one run and one row of `count` small ops.
fn filled(count: u64) -> (Outbox, u64) {
    let mut outbox = Outbox::new();
    let ordinal = outbox.begin_run(RUN).unwrap();
    outbox.add_row(
        ordinal,
        1,
        (1..=count).map(|number| op(number, 10)).collect(),
    );
    (outbox, ordinal)
}

fn at(ordinal: u64, number: u64) -> LogPosition {
    LogPosition { ordinal, number }
}

/// Pushes of runs that nothing keeps back.
fn take(outbox: &mut Outbox, room: usize) -> Option<(RunId, Vec<Op>)> {
    let next = outbox.next_push(room, |_| usize::MAX, |_, _| false)?;
    outbox.take_push(next)
}

fn numbers(ops: &[Op]) -> Vec<u64> {
    ops.iter().map(|op| op.id.number).collect()
}

#[test]
fn a_row_is_deleted_with_its_last_op_and_until_then_settled_numbers_are_kept() {
    let (mut outbox, ordinal) = filled(3);
    let mut writes = Vec::new();
    for number in [2, 1] {
        outbox.settle(at(ordinal, number)).unwrap();
    }
    outbox.take_writes(&mut writes);
    let mut settled = IntervalSet::default();
    settled.insert(1, 2);
    assert_eq!(writes, [MetaRow::Settled(RUN, settled.clone()).put()]);

    writes.clear();
    outbox.settle(at(ordinal, 3)).unwrap();
    outbox.take_writes(&mut writes);
    let deleted = Write::Delete {
        table: Table::Log,
        key: log_key(RUN, 1),
    };
    let row = MetaRow::Settled(RUN, IntervalSet::default()).delete();
    assert_eq!(writes, [deleted, row]);
    writes.clear();
    outbox.take_writes(&mut writes);
    assert_eq!(writes, [], "nothing changed since");

    let mut loaded = Outbox::new();
    assert!(loaded.load_run(RUN, 4, settled));
    let ops = (1..=3).map(|number| op(number, 10)).collect();
    assert_eq!(loaded.add_row(4, 1, ops), [at(4, 3)]);
    assert_eq!(loaded.len(), 1);
}

#[test]
fn pushes_are_bounded_by_room_and_frame_and_each_op_goes_out_once() {
    let (mut outbox, ordinal) = filled(5);
    let large = (6..=8).map(|number| op(number, 40_000)).collect();
    outbox.add_row(ordinal, 6, large);
    assert_eq!(numbers(&take(&mut outbox, 2).unwrap().1), [1, 2]);
    assert_eq!(numbers(&take(&mut outbox, 100).unwrap().1), [3, 4, 5, 6]);
    assert_eq!(numbers(&take(&mut outbox, 100).unwrap().1), [7]);
    assert_eq!(numbers(&take(&mut outbox, 100).unwrap().1), [8]);
    assert!(take(&mut outbox, 100).is_none());
    assert_eq!(outbox.in_flight(), 8);
    outbox.add_row(ordinal, 9, vec![op(9, 10)]);
    assert_eq!(numbers(&take(&mut outbox, 100).unwrap().1), [9]);
}

#[test]
fn a_push_holds_ops_of_one_run() {
    let (mut outbox, _) = filled(2);
    let second = outbox.begin_run(RunId(3)).unwrap();
    let mut other = op(1, 10);
    other.id.run = RunId(3);
    outbox.add_row(second, 1, vec![other]);
    let (run, ops) = take(&mut outbox, 100).unwrap();
    assert_eq!((run, ops.len()), (RUN, 2));
    let (run, ops) = take(&mut outbox, 100).unwrap();
    assert_eq!((run, ops.len()), (RunId(3), 1));
    assert_eq!(outbox.begin_run(RUN), None, "an id is never used twice");
}

#[test]
fn after_a_deferral_the_ops_from_there_on_go_out_again_in_order() {
    let (mut outbox, ordinal) = filled(6);
    take(&mut outbox, 100).unwrap();
    assert!(outbox.decide(at(ordinal, 4)));
    assert!(!outbox.decide(at(ordinal, 4)));
    assert!(outbox.decide(at(ordinal, 2)));
    let revoked = outbox.rewind(at(ordinal, 3));
    assert_eq!(revoked, [at(ordinal, 4)].into());
    assert_eq!(outbox.in_flight(), 1);
    // What is told of a later op before the deferral of that one does not hold either.
    assert!(outbox.decide(at(ordinal, 5)));
    assert_eq!(outbox.rewind(at(ordinal, 5)), [at(ordinal, 5)].into());
    assert_eq!(numbers(&take(&mut outbox, 100).unwrap().1), [3, 4, 5, 6]);
    outbox.disconnect();
    assert_eq!(outbox.in_flight(), 0);
    // A verdict that comes after a late deferral is not forgotten either.
    take(&mut outbox, 100).unwrap();
    outbox.rewind(at(ordinal, 2));
    assert!(outbox.decide(at(ordinal, 5)));
    outbox.disconnect();
    assert_eq!(
        numbers(&take(&mut outbox, 100).unwrap().1),
        [1, 2, 3, 4, 5, 6]
    );
}

#[test]
fn a_verdict_is_reported_once_all_before_it_are_settled() {
    let (mut outbox, ordinal) = filled(4);
    let partition = PartitionId(9);
    for number in [2, 4] {
        outbox.get_mut(at(ordinal, number)).unwrap().exception = Some(partition);
        outbox.settle(at(ordinal, number)).unwrap();
    }
    assert_eq!(outbox.take_stored(), [], "op 1 is pending");
    outbox.settle(at(ordinal, 1)).unwrap();
    let stored = |through| Stored {
        run: RUN,
        partition,
        through,
    };
    assert_eq!(outbox.take_stored(), [stored(2)]);
    assert_eq!(outbox.take_stored(), []);
    outbox.settle(at(ordinal, 3)).unwrap();
    assert_eq!(outbox.take_stored(), [stored(4)]);
}

#[test]
fn a_run_that_waits_holds_up_only_what_comes_after_it_on_the_same_keys() {
    const LATER: RunId = RunId(3);
    let (mut outbox, first) = filled(3);
    let second = outbox.begin_run(LATER).unwrap();
    let of_later = |number| Op {
        id: OpId { run: LATER, number },
        ..op(number + 10, 10)
    };
    outbox.add_row(second, 1, (1..=4).map(of_later).collect());
    let held_back = [Key::new("k13").unwrap()];
    let push = |outbox: &mut Outbox, waits: bool| {
        let room = |run| if waits && run == RUN { 0 } else { usize::MAX };
        let has_before = |start: LogPosition, op: &Op| {
            assert_eq!(start, at(second, 0));
            held_back.contains(&op.key)
        };
        let next = outbox.next_push(100, room, has_before)?;
        let (run, ops) = outbox.take_push(next)?;
        Some((run, numbers(&ops)))
    };
    assert_eq!(push(&mut outbox, true), Some((LATER, vec![1, 2])));
    assert_eq!(push(&mut outbox, true), None);
    assert_eq!(push(&mut outbox, false), Some((RUN, vec![1, 2, 3])));
    // What is put off of one run says nothing of the others.
    assert_eq!(outbox.rewind(at(first, 2)), BTreeSet::new());
    assert_eq!(outbox.in_flight(), 3);
    assert_eq!(push(&mut outbox, true), None);
    assert_eq!(push(&mut outbox, false), Some((RUN, vec![2, 3])));
    assert_eq!(push(&mut outbox, true), Some((LATER, vec![3, 4])));
    assert_eq!(outbox.in_flight(), 7);
}

/// It looked through all that fits into a message, for each message that it did not send.
#[test]
fn no_more_ops_are_looked_at_than_the_window_has_room_for() {
    const LATER: RunId = RunId(3);
    let (mut outbox, _) = filled(1);
    let second = outbox.begin_run(LATER).unwrap();
    let of_later = |number| Op {
        id: OpId { run: LATER, number },
        ..op(number + 10, 10)
    };
    outbox.add_row(second, 1, (1..=100).map(of_later).collect());
    for window in [0, 1, 7] {
        let looked_at = std::cell::Cell::new(0);
        let has_before = |_: LogPosition, _: &Op| {
            looked_at.set(looked_at.get() + 1);
            false
        };
        let room = |run| if run == RUN { 0 } else { usize::MAX };
        let next = outbox.next_push(window, room, has_before);
        let pushed = next.and_then(|next| outbox.take_push(next));
        assert_eq!(looked_at.get(), window);
        assert_eq!(pushed.map_or(0, |(_, ops)| ops.len()), window);
    }
}
