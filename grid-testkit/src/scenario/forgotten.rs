//! Ops whose verdict a server does not know any more, because it was put back to a backup.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::{OpId, RunId};

/// They may be gone, or come again: a device that still has one pending pushes it anew.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    ops: BTreeSet<OpId>,
    /// The highest op of each run that was pushed since.
    pushed: BTreeMap<RunId, u64>,
    /// Those that were pushed again, and before any later op of their run.
    again: BTreeSet<OpId>,
    /// Those that came after a later op of their run, which happens only to a device that lost its
    /// power before it stored their verdict: a server has to take them for decided.
    overtaken: BTreeSet<OpId>,
}

impl Forgotten {
    /// A server was put back, and does not know the verdicts of `ops`.
    pub(super) fn add(&mut self, ops: impl IntoIterator<Item = OpId>) {
        self.ops.extend(ops);
        self.pushed.clear();
        self.again.clear();
        self.overtaken.clear();
    }

    /// Whether the verdict of an op was ever forgotten.
    pub(super) fn contains(&self, op: OpId) -> bool {
        self.ops.contains(&op)
    }

    /// Takes note that a device pushes an op.
    pub(super) fn pushed(&mut self, op: OpId) {
        let highest = self.pushed.entry(op.run).or_default();
        if self.ops.contains(&op) && !self.again.contains(&op) {
            if *highest > op.number {
                self.overtaken.insert(op);
            } else {
                self.again.insert(op);
            }
        }
        *highest = op.number.max(*highest);
    }

    /// Whether a verdict of an op is one that the op itself got.
    pub(super) fn is_of_the_op(&self, op: OpId) -> bool {
        !self.overtaken.contains(&op)
    }
}
