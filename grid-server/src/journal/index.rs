//! What each partition's log holds, and where it stands.

use std::collections::{BTreeMap, VecDeque};

use grid_core::PartitionId;
use grid_core::traits::{Epoch, JournalExtent, Position};

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) segment: u64,
    /// Of its record, in bytes.
    pub(super) offset: u64,
    /// Of its record, in bytes.
    pub(super) length: u32,
    pub(super) epoch: Epoch,
}

/// A batch, by what it is and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) partition: PartitionId,
    pub(super) position: Position,
    pub(super) slot: Slot,
}

/// The log of one partition.
#[derive(Debug, Clone, Default)]
struct Log {
    truncated: Position,
    epoch: Epoch,
    /// The batches after `truncated`.
    slots: VecDeque<Slot>,
}

impl Log {
    fn tail(&self) -> Position {
        Position(self.truncated.0 + self.slots.len() as u64)
    }

    fn extent(&self) -> JournalExtent {
        JournalExtent {
            truncated: self.truncated,
            tail: self.tail(),
            epoch: self.epoch,
        }
    }
}

/// The logs of all partitions that were ever appended to.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    logs: BTreeMap<PartitionId, Log>,
}

impl Index {
    pub(super) fn extent(&self, partition: PartitionId) -> JournalExtent {
        self.logs
            .get(&partition)
            .map(Log::extent)
            .unwrap_or_default()
    }

    /// Adds the next batch of a partition; false when it is not the next one.
    #[must_use]
    pub(super) fn push(&mut self, located: &Located) -> bool {
        let log = self.logs.entry(located.partition).or_default();
        if located.position != log.tail().next() || located.slot.epoch < log.epoch {
            return false;
        }
        log.epoch = located.slot.epoch;
        log.slots.push_back(located.slot);
        true
    }

    /// Forgets the batches up to `through`.
    pub(super) fn truncate(&mut self, partition: PartitionId, through: Position) {
        let Some(log) = self.logs.get_mut(&partition) else {
            return;
        };
        while log.truncated < through && log.slots.pop_front().is_some() {
            log.truncated = log.truncated.next();
        }
    }

    /// The batches of `partition` after `after` whose records add up to about `max_bytes`, at
    /// least one if there is one; `None` when `after` lies below what was truncated.
    pub(super) fn after(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Option<Vec<Located>> {
        let Some(log) = self.logs.get(&partition) else {
            return Some(Vec::new());
        };
        let skipped = after.0.checked_sub(log.truncated.0)?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut position = after;
        let mut found = Vec::new();
        for slot in log.slots.iter().skip(skipped) {
            if bytes >= max_bytes && !found.is_empty() {
                break;
            }
            bytes += usize::try_from(slot.length).unwrap_or(usize::MAX);
            position = position.next();
            found.push(Located {
                partition,
                position,
                slot: *slot,
            });
        }
        Some(found)
    }

    /// The first segment that holds a batch that was not truncated.
    pub(super) fn first_segment(&self) -> Option<u64> {
        let fronts = self.logs.values().filter_map(|log| log.slots.front());
        fronts.map(|slot| slot.segment).min()
    }

    /// The batches at or behind `offset` of `segment`, the last one, in the order in which they
    /// stand.
    pub(super) fn behind(&self, segment: u64, offset: u64) -> Vec<Located> {
        let mut found = Vec::new();
        for (partition, log) in &self.logs {
            let mut position = log.tail();
            for slot in log.slots.iter().rev() {
                if (slot.segment, slot.offset) < (segment, offset) {
                    break;
                }
                found.push(Located {
                    partition: *partition,
                    position,
                    slot: *slot,
                });
                position = Position(position.0 - 1);
            }
        }
        found.sort_unstable_by_key(|located| located.slot.offset);
        found
    }

    /// Every partition's extent, as it was before the batches at or behind `offset` of `segment`.
    pub(super) fn extents_before(
        &self,
        segment: u64,
        offset: u64,
    ) -> Vec<(PartitionId, JournalExtent)> {
        let extents = self.logs.iter().map(|(partition, log)| {
            let behind = |slot: &&Slot| (slot.segment, slot.offset) >= (segment, offset);
            let taken = log.slots.iter().rev().take_while(behind).count();
            let left = log.slots.len() - taken;
            let mut extent = log.extent();
            extent.tail = Position(log.truncated.0 + left as u64);
            if let Some(first) = log.slots.get(left) {
                // The epoch before that batch, or, if that is not known, what it was at most.
                let before = left.checked_sub(1).and_then(|last| log.slots.get(last));
                extent.epoch = before.unwrap_or(first).epoch;
            }
            (*partition, extent)
        });
        extents.collect()
    }

    /// The batches stand somewhere else now.
    pub(super) fn relocate(&mut self, moved: &[Located]) {
        for located in moved {
            let Some(log) = self.logs.get_mut(&located.partition) else {
                continue;
            };
            // One that was truncated meanwhile needs no place.
            let place = located.position.0.checked_sub(log.truncated.0 + 1);
            let place = place.and_then(|place| usize::try_from(place).ok());
            if let Some(slot) = place.and_then(|place| log.slots.get_mut(place)) {
                *slot = located.slot;
            }
        }
    }

    /// Compares with the extents that the next segment names; false when batches are missing.
    #[must_use]
    pub(super) fn join(&mut self, extents: &[(PartitionId, JournalExtent)]) -> bool {
        for (partition, extent) in extents {
            let log = self.logs.entry(*partition).or_default();
            if extent.truncated > log.tail() {
                // What lies between was truncated, and void before anybody missed it.
                *log = Log {
                    truncated: extent.truncated,
                    epoch: extent.epoch,
                    slots: VecDeque::new(),
                };
            }
            if extent.tail != log.tail() {
                return false;
            }
            self.truncate(*partition, extent.truncated);
        }
        self.logs.len() == extents.len()
    }

    /// Begins at `extents`: everything up to their tails is gone.
    pub(super) fn begin(extents: &[(PartitionId, JournalExtent)]) -> Self {
        let logs = extents.iter().map(|(partition, extent)| {
            let log = Log {
                truncated: extent.tail,
                epoch: extent.epoch,
                slots: VecDeque::new(),
            };
            (*partition, log)
        });
        Self {
            logs: logs.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: PartitionId = PartitionId(4);

    fn located(position: u64) -> Located {
        let slot = Slot {
            segment: 1,
            offset: 100 * position,
            length: 100,
            epoch: Epoch(1),
        };
        Located {
            partition: PARTITION,
            position: Position(position),
            slot,
        }
    }

    fn filled(tail: u64) -> Index {
        let mut index = Index::default();
        for position in 1..=tail {
            assert!(index.push(&located(position)));
        }
        index
    }

    fn extent(truncated: u64, tail: u64) -> (PartitionId, JournalExtent) {
        let extent = JournalExtent {
            truncated: Position(truncated),
            tail: Position(tail),
            epoch: Epoch(1),
        };
        (PARTITION, extent)
    }

    #[test]
    fn only_the_next_batch_can_follow() {
        let mut index = filled(2);
        for position in [0, 1, 2, 4] {
            assert!(!index.push(&located(position)), "position {position}");
        }
        let mut older = located(3);
        older.slot.epoch = Epoch(0);
        assert!(!index.push(&older), "of an older epoch");
        assert!(index.push(&located(3)));
    }

    #[test]
    fn a_segment_joins_where_its_extents_say() {
        assert!(filled(5).join(&[extent(0, 5)]));
        assert!(filled(5).join(&[extent(3, 5)]));
        // Batches 4 and 5 were void, but truncated.
        let mut jumped = filled(3);
        assert!(jumped.join(&[extent(5, 5)]));
        assert_eq!(jumped.extent(PARTITION), extent(5, 5).1);
    }

    #[test]
    fn a_segment_that_misses_batches_does_not_join() {
        assert!(!filled(5).join(&[extent(0, 6)]), "batch 6 is missing");
        assert!(!filled(5).join(&[extent(0, 4)]), "batch 5 is one too many");
        assert!(
            !filled(5).join(&[]),
            "the partition is unknown to the segment"
        );
        assert!(!filled(3).join(&[extent(5, 6)]), "batch 6 is missing");
    }

    #[test]
    fn what_is_taken_away_leaves_the_extent_before_it() {
        let mut index = filled(5);
        index.truncate(PARTITION, Position(1));
        assert_eq!(index.extents_before(1, 400), [extent(1, 3)]);
        let behind: Vec<u64> = index
            .behind(1, 400)
            .iter()
            .map(|located| located.position.0)
            .collect();
        assert_eq!(behind, [4, 5]);
    }
}
