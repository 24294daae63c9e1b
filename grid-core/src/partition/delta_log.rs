//! The delta log: which slot changed at which sequence, so that catching up needs no scan.

use std::collections::VecDeque;

use crate::record::Sequence;

/// Below this many positions a sweep is not worth its while.
const MIN_POSITIONS_TO_SWEEP: usize = 64;
/// Positions that a sweep looks at for each change: so a sweep ends before the log has grown by a
/// third, and no batch pays for more than its own changes.
const SWEPT_PER_CHANGE: usize = 4;

/// Positions in the order of their sequences. A key that changed again has an older position that
/// is stale; stale ones are skipped by the reader. Once more than half are stale a sweep begins,
/// which goes through the log from its oldest position and drops them.
///
/// While the journal's tail is replayed over records that are newer than it, positions come out of
/// order; [`DeltaLog::sort`] puts them right before anybody reads.
#[derive(Debug, Clone, Default)]
pub(super) struct DeltaLog {
    /// What the sweep has kept so far; empty unless one is under way.
    swept: Vec<Place>,
    positions: VecDeque<Place>,
    sweeping: bool,
    /// Positions that were added since the sweep went on.
    added: usize,
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
        let last = self.positions.back().or(self.swept.last());
        self.unsorted |= last.is_some_and(|last| last.sequence >= place.sequence);
        self.positions.push_back(place);
        self.added += 1;
    }

    /// Puts the positions in order, if they are not.
    pub(super) fn sort(&mut self) {
        if self.unsorted {
            let mut places = std::mem::take(&mut self.swept);
            places.extend(self.positions.drain(..));
            self.rebuild(places);
        }
    }

    /// Replaces everything; `places` may come in any order.
    pub(super) fn rebuild(&mut self, mut places: Vec<Place>) {
        places.sort_unstable();
        *self = Self {
            positions: places.into(),
            ..Self::default()
        };
    }

    /// The positions after `after`, stale ones included.
    pub(super) fn after(&self, after: Sequence) -> impl Iterator<Item = &Place> {
        debug_assert!(!self.unsorted, "sorted before it is read");
        let is_before = |place: &Place| place.sequence <= after;
        let swept = self.swept.partition_point(is_before);
        let positions = self.positions.partition_point(is_before);
        self.swept[swept..]
            .iter()
            .chain(self.positions.range(positions..))
    }

    /// Drops stale positions, if there are many, at a rate that the changes pay for; called once a
    /// batch.
    pub(super) fn compact(&mut self, occupied: usize, is_current: impl Fn(&Place) -> bool) {
        let most = std::mem::take(&mut self.added) * SWEPT_PER_CHANGE;
        self.sweeping |= self.is_mostly_stale(occupied);
        if self.sweeping {
            self.sweep(most, is_current);
        }
    }

    /// Drops all stale positions, if there are many; called when many entries were forgotten, after
    /// which there may be no change to pay for a sweep.
    pub(super) fn compact_at_once(&mut self, occupied: usize, is_current: impl Fn(&Place) -> bool) {
        if self.is_mostly_stale(occupied) {
            // What a sweep under way has kept may be stale by now.
            self.swept.retain(&is_current);
            self.sweep(usize::MAX, is_current);
        }
    }

    fn is_mostly_stale(&self, occupied: usize) -> bool {
        self.len() > 2 * occupied + MIN_POSITIONS_TO_SWEEP
    }

    /// Goes on with the sweep by up to `most` positions.
    fn sweep(&mut self, most: usize, is_current: impl Fn(&Place) -> bool) {
        let next = self.positions.drain(..most.min(self.positions.len()));
        self.swept.extend(next.filter(is_current));
        self.sweeping = !self.positions.is_empty();
        if !self.sweeping {
            self.positions = std::mem::take(&mut self.swept).into();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.swept.len() + self.positions.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Overwrites slots in batches; `current` says at which sequence each slot changed last.
    struct Slots {
        log: DeltaLog,
        current: Vec<u64>,
        sequence: u64,
    }

    impl Slots {
        fn new(slots: u32) -> Self {
            let mut new = Self {
                log: DeltaLog::default(),
                current: vec![0; slots as usize],
                sequence: 0,
            };
            new.write(0..slots);
            new
        }

        /// Writes these slots, and returns at how many positions compaction looked.
        fn write(&mut self, slots: impl Iterator<Item = u32>) -> usize {
            for slot in slots {
                self.sequence += 1;
                self.current[slot as usize] = self.sequence;
                let sequence = Sequence(self.sequence);
                self.log.push(Place { sequence, slot });
            }
            let looked = Cell::new(0);
            self.log.compact(self.current.len(), |place| {
                looked.set(looked.get() + 1);
                self.current[place.slot as usize] == place.sequence.0
            });
            looked.get()
        }

        /// The sequences of the current positions after `after`, in the log's order.
        fn read(&self, after: u64) -> Vec<u64> {
            let places = self.log.after(Sequence(after));
            let is_current = |place: &&Place| self.current[place.slot as usize] == place.sequence.0;
            places
                .filter(is_current)
                .map(|place| place.sequence.0)
                .collect()
        }

        fn expected(&self, after: u64) -> Vec<u64> {
            let mut all: Vec<u64> = self
                .current
                .iter()
                .copied()
                .filter(|at| *at > after)
                .collect();
            all.sort_unstable();
            all
        }
    }

    #[test]
    fn sweeps_cost_each_batch_its_share_and_lose_nothing() {
        let mut slots = Slots::new(1_000);
        let (mut longest, mut sweeps) = (0, 0);
        for batch in 0..600u32 {
            let was_sweeping = slots.log.sweeping;
            // Old and young positions become stale in turn.
            let of_batch =
                (0..16).map(|at| (batch * 7 + at * if batch % 100 < 50 { 61 } else { 1 }) % 1_000);
            let looked = slots.write(of_batch);
            assert!(
                looked <= 16 * SWEPT_PER_CHANGE,
                "{looked} positions at once"
            );
            sweeps += usize::from(slots.log.sweeping && !was_sweeping);
            longest = longest.max(slots.log.len());
            for after in [0, slots.sequence / 2, slots.sequence - 500, slots.sequence] {
                assert_eq!(
                    slots.read(after),
                    slots.expected(after),
                    "after {after} at {batch}"
                );
            }
        }
        assert!(sweeps > 5, "{sweeps} sweeps");
        assert!(
            longest > 2_000 && longest < 2_800,
            "{longest} positions for 1,000 slots"
        );
    }

    #[test]
    fn a_log_that_is_out_of_order_is_sorted_in_the_midst_of_a_sweep() {
        let mut slots = Slots::new(100);
        while !slots.log.sweeping || slots.log.swept.is_empty() {
            slots.write([3, 5].into_iter());
        }
        // As when a replayed change is older than what was loaded.
        let late = Place {
            sequence: Sequence(slots.current[7]),
            slot: 7,
        };
        slots.log.push(late);
        slots.log.sort();
        let read: Vec<Sequence> = slots
            .log
            .after(Sequence(0))
            .map(|place| place.sequence)
            .collect();
        assert!(read.is_sorted(), "{read:?}");
        assert_eq!(
            slots.read(0).len(),
            101,
            "the place that came again among them"
        );
    }

    #[test]
    fn what_was_forgotten_leaves_the_log_at_once() {
        let mut slots = Slots::new(200);
        while !slots.log.sweeping || slots.log.swept.is_empty() {
            slots.write([3, 5].into_iter());
        }
        // Sequence 0 is no position's: all but ten slots are forgotten.
        slots.current[10..].fill(0);
        let current = slots.current.clone();
        let is_current = |place: &Place| current[place.slot as usize] == place.sequence.0;
        slots.log.compact_at_once(200, is_current);
        assert!(slots.log.len() > 200, "few are stale among 200");
        slots.log.compact_at_once(10, is_current);
        assert_eq!(slots.log.len(), 10);
        assert_eq!(slots.read(0), slots.expected(0));
    }
}
