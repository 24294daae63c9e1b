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
use crate::limits::MAX_ITEMS_PER_MESSAGE;
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

/// What is to be pushed next.
#[derive(Debug, Clone, Copy)]
pub(super) struct NextPush {
    first: LogPosition,
    /// At most so many ops.
    room: usize,
    /// Whether an earlier op waits.
    overtakes: bool,
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

    /// Which ops to push next, at most `window`: the first that waits of a run that `room` has room
    /// for. Of runs that come after one without room, ops stay back from the first on that
    /// `has_before` an earlier op on its key, before the place where its run starts.
    pub(super) fn next_push(
        &self,
        window: usize,
        room: impl Fn(RunId) -> usize,
        has_before: impl Fn(LogPosition, &Op) -> bool,
    ) -> Option<NextPush> {
        if window == 0 {
            return None;
        }
        let mut from = self.next;
        let mut overtakes = false;
        loop {
            let (first, _) = self.waiting(from).next()?;
            let (ordinal, start) = (first.ordinal, LogPosition::start(first.ordinal));
            let mut room = room(self.runs.get(&ordinal)?.id).min(window);
            if overtakes {
                let of_run = self
                    .waiting(first)
                    .take_while(|(at, _)| at.ordinal == ordinal);
                let free = of_run.take(room.min(MAX_ITEMS_PER_MESSAGE));
                let free = free.take_while(|(_, pending)| !has_before(start, &pending.op));
                room = free.count();
            }
            if room > 0 {
                return Some(NextPush {
                    first,
                    room,
                    overtakes,
                });
            }
            overtakes = true;
            from = LogPosition::start(ordinal.checked_add(1)?);
        }
    }

    fn waiting(&self, from: LogPosition) -> impl Iterator<Item = (LogPosition, &Pending)> {
        let pending = self.pending.range(from..);
        let waiting = pending.filter(|(_, pending)| pending.stage == Stage::Waiting);
        waiting.map(|(position, pending)| (*position, pending))
    }

    /// Takes what is to be pushed next: ops of one run, in order, as many as fit into one frame.
    /// They count as sent.
    pub(super) fn take_push(&mut self, next: NextPush) -> Option<(RunId, Vec<Op>)> {
        let ordinal = next.first.ordinal;
        let same_run = self.waiting(next.first);
        let same_run = same_run.take_while(|(position, _)| position.ordinal == ordinal);
        let bounds = same_run
            .take(next.room)
            .map(|(_, pending)| op_bound(&pending.op));
        let count = fitting(bounds);
        let mut behind = next.first;
        let ops: Vec<Op> = self
            .pending
            .range_mut(next.first..)
            .filter(|(_, pending)| pending.stage == Stage::Waiting)
            .take(count)
            .map(|(position, pending)| {
                pending.stage = Stage::Sent;
                behind = position.after();
                pending.op.clone()
            })
            .collect();
        if !next.overtakes {
            self.next = behind;
        }
        self.in_flight += ops.len();
        self.pushed = self.pushed.max(behind);
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

    /// The server took nothing of a run from `position` on: all that is to be pushed again. Returns
    /// those ops that had a verdict, which does not hold: it was told before they were safe.
    pub(super) fn rewind(&mut self, position: LogPosition) -> BTreeSet<LogPosition> {
        let mut revoked = BTreeSet::new();
        if position >= self.pushed {
            return revoked;
        }
        let end = self
            .pushed
            .min(LogPosition::start(position.ordinal.saturating_add(1)));
        for (at, pending) in self.pending.range_mut(position..end) {
            match pending.stage {
                Stage::Sent => self.in_flight -= 1,
                Stage::Decided => {
                    pending.fate = None;
                    revoked.insert(*at);
                }
                Stage::Waiting => continue,
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
mod tests;
