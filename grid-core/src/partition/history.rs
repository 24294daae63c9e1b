//! A new line of sequences, after a system of record was put back to a backup.

use super::machine::Partition;
use crate::hlc::Hlc;
use crate::op::{OpId, RunId};
use crate::record::{History, Sequence};

impl Partition {
    /// The highest sequence of any entry or tombstone that is held. It is above
    /// [`Partition::sequence`] only when a system of record was stopped between records and state
    /// record, and the journal that would lead from the one to the other is not there.
    #[must_use]
    pub fn newest(&self) -> Sequence {
        let places = self.maps.iter().flat_map(|map| map.places());
        places
            .map(|(place, _)| place.sequence)
            .max()
            .unwrap_or_default()
    }

    /// Puts the partition, as its system of record has it, on the line of sequences `history`.
    /// Sequences go on after the last one that it holds, so that no two of its entries share one.
    pub fn begin_history(&mut self, history: History) {
        self.sequence = self.sequence.max(self.newest());
        let slots = self.maps.iter().flat_map(|map| map.places());
        let latest = slots.map(|(_, slot)| slot.stamp.hlc).max();
        self.clock = self.clock.max(latest.unwrap_or(Hlc::ZERO));
        self.config.history = history;
    }

    /// Whether the op got its verdict here, as far as the partition still knows.
    #[must_use]
    pub fn has_decided(&self, op: OpId) -> bool {
        self.runs
            .get(op.run)
            .is_some_and(|run| op.number <= run.watermark)
    }

    /// How many changes of entries the partition has gone through: its sequence, without what epoch
    /// records have taken up.
    #[must_use]
    pub fn change_count(&self) -> u64 {
        self.sequence.0.saturating_sub(self.epochs)
    }

    /// Whether a release of `run` by `principal` would be news: the partition remembers the run as
    /// that principal's, and as one that goes on.
    #[must_use]
    pub fn may_release(&self, run: RunId, principal: &str) -> bool {
        let known = self
            .runs
            .get(run)
            .filter(|run| *run.principal == *principal);
        known.is_some_and(|run| run.released_at_ms.is_none())
    }
}
