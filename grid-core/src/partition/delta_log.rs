//! The delta log: which slot changed at which sequence, so that catching up needs no scan.

use crate::record::Sequence;

/// Below this many positions compaction is not worth its pass.
const MIN_POSITIONS_TO_COMPACT: usize = 64;

/// Positions in the order of their sequences. A key that changed again has an older position that
/// is stale; stale ones are skipped by the reader and dropped by compaction.
///
/// While the journal's tail is replayed over records that are newer than it, positions come out of
/// order; [`DeltaLog::sort`] puts them right before anybody reads.
#[derive(Debug, Clone, Default)]
pub(super) struct DeltaLog {
    positions: Vec<Place>,
    unsorted: bool,
}

/// Where one version of an entry stands: its slot, valid while the slot has this sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) sequence: Sequence,
    pub(super) slot: u32,
}

impl Place {
    /// The sequence of the version.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }
}

impl DeltaLog {
    /// Adds the newest change.
    pub(super) fn push(&mut self, place: Place) {
        self.unsorted |= self
            .positions
            .last()
            .is_some_and(|last| last.sequence >= place.sequence);
        self.positions.push(place);
    }

    /// Puts the positions in order, if they are not.
    pub(super) fn sort(&mut self) {
        if self.unsorted {
            self.positions.sort_unstable();
            self.unsorted = false;
        }
    }

    /// Replaces everything; `places` may come in any order.
    pub(super) fn rebuild(&mut self, places: Vec<Place>) {
        self.positions = places;
        self.unsorted = true;
        self.sort();
    }

    /// The positions after `after`, stale ones included.
    pub(super) fn after(&self, after: Sequence) -> &[Place] {
        debug_assert!(!self.unsorted, "sorted before it is read");
        let start = self
            .positions
            .partition_point(|place| place.sequence <= after);
        &self.positions[start..]
    }

    /// Drops stale positions once more than half are stale, so that the cost of a change stays
    /// constant on average.
    pub(super) fn compact(&mut self, occupied: usize, is_current: impl Fn(&Place) -> bool) {
        if self.positions.len() > 2 * occupied + MIN_POSITIONS_TO_COMPACT {
            self.positions.retain(is_current);
            self.positions.shrink_to(2 * occupied);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }
}
