//! The outbox: every op that is durable here and not yet settled, in log order, with the packed
//! rows that hold them.

use std::collections::{BTreeMap, BTreeSet};

use super::fate_counts::Fate;
use super::interval_set::IntervalSet;
use super::log_position::LogPosition;
use super::row::MetaRow;
use super::run_log::RunLog;
use crate::address::PartitionId;
use crate::codec::{fitting, op_bound};
use crate::op::{Op, OpId, RunId};
use crate::protocol::Stored;
use crate::traits::Write;

/// How far a pending op has come on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sent,
    Decided,
}

/// An op on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) op: Op,
    /// Whether the verdict was told to the application.
    pub(super) told: bool,
    /// Where the server keeps a verdict of its own for this op until it is stored here.
    pub(super) exception: Option<PartitionId>,
    /// What the last verdict was, on whichever connection it came.
    pub(super) fate: Option<Fate>,
    stage: Stage,
}

#[derive(Debug)]
pub(super) struct Outbox {
    pending: BTreeMap<LogPosition, Pending>,
    runs: BTreeMap<u64, RunLog>,
    ordinals: BTreeMap<RunId, u64>,
    /// Ops that were pushed on this connection and have no verdict.
    in_flight: usize,
    /// No op before this waits to be pushed.
    next: LogPosition,
    /// No op from here on was pushed on this connection; beyond `next` after a rewind.
    pushed: LogPosition,
    /// Packed rows that are settled to the last op.
    emptied: Vec<Write>,
    /// Runs whose settled numbers changed.
    touched: BTreeSet<u64>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            pending: BTreeMap::new(),
            runs: BTreeMap::new(),
            ordinals: BTreeMap::new(),
            in_flight: 0,
            next: LogPosition::FIRST,
            pushed: LogPosition::FIRST,
            emptied: Vec::new(),
            touched: BTreeSet::new(),
        }
    }

    /// Adds a run that the store knows; false when there is another of that id or place.
    pub(super) fn load_run(&mut self, id: RunId, ordinal: u64, settled: IntervalSet) -> bool {
        if self.ordinals.contains_key(&id) || self.runs.contains_key(&ordinal) {
            return false;
        }
        self.ordinals.insert(id, ordinal);
        self.runs.insert(ordinal, RunLog::new(id, settled));
        true
    }

    /// Starts a run after all others; `None` when this id was used before.
    pub(super) fn begin_run(&mut self, id: RunId) -> Option<u64> {
        let ordinal = self.runs.last_key_value().map_or(1, |(last, _)| last + 1);
        let fresh = self.load_run(id, ordinal, IntervalSet::default());
        self.runs.get_mut(&ordinal)?.recorded = false;
        fresh.then_some(ordinal)
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// How many ops were pushed on this connection and have no verdict.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether every pending op was pushed on this connection.
    pub(super) fn has_nothing_to_push(&self) -> bool {
        let mut waiting = self.pending.range(self.next..);
        waiting.all(|(_, pending)| pending.stage != Stage::Waiting)
    }

    pub(super) fn is_recorded(&self, ordinal: u64) -> bool {
        self.runs.get(&ordinal).is_some_and(|run| run.recorded)
    }

    /// The store knows the run now.
    pub(super) fn set_recorded(&mut self, ordinal: u64) {
        if let Some(run) = self.runs.get_mut(&ordinal) {
            run.recorded = true;
        }
    }

    /// The position of an op of a known run, pending or not.
    pub(super) fn position(&self, id: OpId) -> Option<LogPosition> {
        Some(LogPosition {
            ordinal: *self.ordinals.get(&id.run)?,
            number: id.number,
        })
    }

    pub(super) fn get(&self, position: LogPosition) -> Option<&Pending> {
        self.pending.get(&position)
    }

    pub(super) fn get_mut(&mut self, position: LogPosition) -> Option<&mut Pending> {
        self.pending.get_mut(&position)
    }

    /// Positions of pending ops of one run with numbers from `first` to `last`.
    pub(super) fn between(&self, ordinal: u64, first: u64, last: u64) -> Vec<LogPosition> {
        if last < first {
            return Vec::new();
        }
        let at = |number| LogPosition { ordinal, number };
        self.pending
            .range(at(first)..=at(last))
            .map(|(position, _)| *position)
            .collect()
    }

    /// Adds the ops of one packed row whose first number is `first`; those that are settled
    /// already are left out. Returns the positions of the others, in order.
    pub(super) fn add_row(&mut self, ordinal: u64, first: u64, ops: Vec<Op>) -> Vec<LogPosition> {
        let Some(run) = self.runs.get_mut(&ordinal) else {
            return Vec::new();
        };
        let last = ops.last().map_or(first, |op| op.id.number);
        let mut added = Vec::with_capacity(ops.len());
        for op in ops {
            let number = op.id.number;
            if run.is_settled(number) {
                continue;
            }
            let position = LogPosition { ordinal, number };
            let pending = Pending {
                op,
                told: false,
                exception: None,
                fate: None,
                stage: Stage::Waiting,
            };
            self.pending.insert(position, pending);
            added.push(position);
        }
        run.add_row(first, last, added.len() as u64);
        added
    }

    /// The next ops to push: of one run, in order, at most `room` and what fits into one frame.
    /// They count as sent.
    pub(super) fn take_push(&mut self, room: usize) -> Option<(RunId, Vec<Op>)> {
        let mut waiting = self
            .pending
            .range(self.next..)
            .filter(|(_, pending)| pending.stage == Stage::Waiting)
            .peekable();
        let ordinal = waiting.peek()?.0.ordinal;
        let same_run = waiting.take_while(|(position, _)| position.ordinal == ordinal);
        let bounds = same_run
            .take(room)
            .map(|(_, pending)| op_bound(&pending.op));
        let count = fitting(bounds);
        let ops: Vec<Op> = self
            .pending
            .range_mut(self.next..)
            .filter(|(_, pending)| pending.stage == Stage::Waiting)
            .take(count)
            .map(|(position, pending)| {
                pending.stage = Stage::Sent;
                self.next = position.after();
                pending.op.clone()
            })
            .collect();
        self.in_flight += ops.len();
        self.pushed = self.pushed.max(self.next);
        Some((self.runs.get(&ordinal)?.id, ops))
    }

    /// Takes note of a verdict; false when the op had one on this connection or is not pending.
    pub(super) fn decide(&mut self, position: LogPosition) -> bool {
        let Some(pending) = self.pending.get_mut(&position) else {
            return false;
        };
        match pending.stage {
            Stage::Decided => return false,
            Stage::Sent => self.in_flight -= 1,
            Stage::Waiting => {}
        }
        pending.stage = Stage::Decided;
        true
    }

    /// The server took nothing of a run from `position` on: all of it is to be pushed again. Returns
    /// those ops that had a verdict, which does not hold: it was told before they were safe.
    pub(super) fn rewind(&mut self, position: LogPosition) -> BTreeSet<LogPosition> {
        let mut revoked = BTreeSet::new();
        if position >= self.pushed {
            return revoked;
        }
        for (at, pending) in self.pending.range_mut(position..self.pushed) {
            match pending.stage {
                Stage::Sent => self.in_flight -= 1,
                Stage::Decided if at.ordinal == position.ordinal => {
                    pending.fate = None;
                    revoked.insert(*at);
                }
                Stage::Waiting | Stage::Decided => continue,
            }
            pending.stage = Stage::Waiting;
        }
        self.next = self.next.min(position);
        revoked
    }

    /// The connection is gone: every pending op is to be pushed on the next one, those with a
    /// verdict too, because the next server may know nothing of it.
    pub(super) fn disconnect(&mut self) {
        for (_, pending) in self.pending.range_mut(..self.pushed) {
            pending.stage = Stage::Waiting;
        }
        self.in_flight = 0;
        self.next = LogPosition::FIRST;
        self.pushed = LogPosition::FIRST;
    }

    /// Takes a decided op out for good.
    pub(super) fn settle(&mut self, position: LogPosition) -> Option<Pending> {
        let pending = self.pending.remove(&position)?;
        if pending.stage == Stage::Sent {
            self.in_flight -= 1;
        }
        let run = self.runs.get_mut(&position.ordinal)?;
        self.touched.insert(position.ordinal);
        let emptied = run.settle(position.number, pending.exception);
        self.emptied.extend(emptied);
        Some(pending)
    }

    /// The changes that make every settlement so far durable.
    pub(super) fn take_writes(&mut self, writes: &mut Vec<Write>) {
        writes.append(&mut self.emptied);
        for ordinal in std::mem::take(&mut self.touched) {
            let Some(run) = self.runs.get(&ordinal) else {
                continue;
            };
            writes.push(run.settled_row());
        }
    }

    /// Which verdicts the server may forget once what [`Outbox::take_writes`] gave is durable.
    pub(super) fn take_stored(&mut self) -> Vec<Stored> {
        let mut stored = Vec::new();
        for (ordinal, run) in &mut self.runs {
            if !run.has_exceptions() {
                continue;
            }
            let first_pending = self
                .pending
                .range(
                    LogPosition {
                        ordinal: *ordinal,
                        number: 0,
                    }..,
                )
                .next()
                .filter(|(position, _)| position.ordinal == *ordinal);
            let through = first_pending.map_or(run.last, |(position, _)| position.number - 1);
            run.take_stored(through, &mut stored);
        }
        stored
    }

    /// The settlements that were to be reported are not durable after all.
    pub(super) fn put_back_stored(&mut self, stored: Vec<Stored>) {
        for report in stored {
            if let Some(run) = self.run_mut(report.run) {
                run.put_back(&report);
            }
        }
    }

    /// Takes note of what the server is being told is stored.
    pub(super) fn add_reported(&mut self, reports: &[Stored]) {
        for report in reports {
            if let Some(run) = self.run_mut(report.run) {
                let through = run.reported.entry(report.partition).or_default();
                *through = report.through.max(*through);
            }
        }
    }

    /// What the server was told is stored, and may not have heard.
    pub(super) fn reported(&self) -> Vec<Stored> {
        self.runs.values().flat_map(RunLog::reported).collect()
    }

    /// The server has heard a report.
    pub(super) fn forget_report(&mut self, heard: &Stored) {
        if let Some(run) = self.run_mut(heard.run) {
            run.reported.retain(|partition, through| {
                *partition != heard.partition || *through > heard.through
            });
        }
    }

    fn run_mut(&mut self, id: RunId) -> Option<&mut RunLog> {
        self.runs.get_mut(self.ordinals.get(&id)?)
    }

    /// Whether a run has nothing pending.
    pub(super) fn is_finished(&self, ordinal: u64) -> bool {
        self.runs.get(&ordinal).is_none_or(RunLog::is_empty)
    }

    /// Runs other than the one at `current` that have nothing pending, by their place.
    pub(super) fn finished(&self, current: u64) -> Vec<(u64, RunId)> {
        self.runs
            .iter()
            .filter(|(ordinal, run)| **ordinal != current && run.is_empty())
            .map(|(ordinal, run)| (*ordinal, run.id))
            .collect()
    }

    /// Forgets a finished run; the changes that make the store forget it.
    pub(super) fn forget(&mut self, ordinal: u64, writes: &mut Vec<Write>) {
        if let Some(run) = self.runs.remove(&ordinal) {
            self.ordinals.remove(&run.id);
            self.touched.remove(&ordinal);
            writes.push(MetaRow::Run(run.id, ordinal).delete());
            writes.push(MetaRow::Settled(run.id, IntervalSet::default()).delete());
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(numbers(&outbox.take_push(2).unwrap().1), [1, 2]);
        assert_eq!(numbers(&outbox.take_push(100).unwrap().1), [3, 4, 5, 6]);
        assert_eq!(numbers(&outbox.take_push(100).unwrap().1), [7]);
        assert_eq!(numbers(&outbox.take_push(100).unwrap().1), [8]);
        assert!(outbox.take_push(100).is_none());
        assert_eq!(outbox.in_flight(), 8);
        outbox.add_row(ordinal, 9, vec![op(9, 10)]);
        assert_eq!(numbers(&outbox.take_push(100).unwrap().1), [9]);
    }

    #[test]
    fn a_push_holds_ops_of_one_run() {
        let (mut outbox, _) = filled(2);
        let second = outbox.begin_run(RunId(3)).unwrap();
        let mut other = op(1, 10);
        other.id.run = RunId(3);
        outbox.add_row(second, 1, vec![other]);
        let (run, ops) = outbox.take_push(100).unwrap();
        assert_eq!((run, ops.len()), (RUN, 2));
        let (run, ops) = outbox.take_push(100).unwrap();
        assert_eq!((run, ops.len()), (RunId(3), 1));
        assert_eq!(outbox.begin_run(RUN), None, "an id is never used twice");
    }

    #[test]
    fn after_a_deferral_the_ops_from_there_on_go_out_again_in_order() {
        let (mut outbox, ordinal) = filled(6);
        outbox.take_push(100).unwrap();
        assert!(outbox.decide(at(ordinal, 4)));
        assert!(!outbox.decide(at(ordinal, 4)));
        assert!(outbox.decide(at(ordinal, 2)));
        let revoked = outbox.rewind(at(ordinal, 3));
        assert_eq!(revoked, [at(ordinal, 4)].into());
        assert_eq!(outbox.in_flight(), 1);
        // What is told of a later op before the deferral of that one does not hold either.
        assert!(outbox.decide(at(ordinal, 5)));
        assert_eq!(outbox.rewind(at(ordinal, 5)), [at(ordinal, 5)].into());
        assert_eq!(numbers(&outbox.take_push(100).unwrap().1), [3, 4, 5, 6]);
        outbox.disconnect();
        assert_eq!(outbox.in_flight(), 0);
        // A verdict that comes after a late deferral is not forgotten either.
        outbox.take_push(100).unwrap();
        outbox.rewind(at(ordinal, 2));
        assert!(outbox.decide(at(ordinal, 5)));
        outbox.disconnect();
        assert_eq!(
            numbers(&outbox.take_push(100).unwrap().1),
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
}
