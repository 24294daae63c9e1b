//! Effects: all that a decision changes, and all that is needed to change it again.

use super::machine::Partition;
use super::runs::RunUpdate;
use crate::address::MapAddress;
use crate::hlc::Hlc;
use crate::op::RunId;
use crate::record::{Record, Sequence};

/// The outcome of a decision as data: journalled first, then applied. Applying them reads no
/// clock, policy or resolver, so replay after a crash gives the same state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effects {
    /// When they were decided, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// The sequence that they follow on; record n has the sequence base + n + 1.
    pub(super) base: Sequence,
    /// The highest time of any version, these included.
    pub(super) clock: Hlc,
    /// Whether they leave a mark for the horizon.
    pub(super) mark: bool,
    /// The maps that the records belong to.
    pub(super) maps: Vec<MapAddress>,
    pub(super) records: Vec<EffectRecord>,
    pub(super) runs: Vec<RunUpdate>,
    pub(super) stored: Vec<(RunId, u64)>,
    pub(super) released: Vec<RunId>,
    pub(super) forgotten: Vec<RunId>,
    /// Tombstones up to this sequence are forgotten, the latest of which has this time.
    pub(super) collect: Option<(Sequence, Hlc)>,
    /// Whether they are an epoch record. They hold no records, and take up a sequence: whatever
    /// its owner stores after it is later than all that was on its way to the database before.
    pub(super) begins_epoch: bool,
}

/// A new version, and which of the maps it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EffectRecord {
    pub(super) map: u32,
    pub(super) record: Record,
}

impl Effects {
    /// Whether applying them changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.runs.is_empty()
            && self.stored.is_empty()
            && self.released.is_empty()
            && self.forgotten.is_empty()
            && self.collect.is_none()
            && !self.mark
            && !self.begins_epoch
    }

    /// Whether they are an epoch record: see [`Partition::begin_epoch`].
    #[must_use]
    pub fn begins_epoch(&self) -> bool {
        self.begins_epoch
    }

    /// The partition's sequence after them.
    #[must_use]
    pub fn sequence_after(&self) -> Sequence {
        Sequence(self.base.0 + self.records.len() as u64 + u64::from(self.begins_epoch))
    }

    /// The new versions, with their maps, in the order of their sequences.
    pub fn records(&self) -> impl ExactSizeIterator<Item = (&MapAddress, &Record)> {
        self.records
            .iter()
            .map(|each| (&self.maps[each.map as usize], &each.record))
    }
}

impl Partition {
    /// The epoch record: what a new owner journals before it serves, after the last batch that it
    /// has read. A former owner cannot append any more then, for the tail that it expects is no
    /// longer the last.
    #[must_use]
    pub fn begin_epoch(&self) -> Effects {
        Effects {
            at_ms: self.latest_ms,
            base: self.sequence,
            clock: self.clock,
            begins_epoch: true,
            ..Effects::default()
        }
    }

    /// The epoch record of an owner that goes on, and journals it because a late state of the same
    /// sequence might replace what it has stored. It leaves its mark for the horizon itself: one of
    /// housekeeping would follow otherwise, which takes no sequence, and so would be a reason for
    /// the next such record. The mark is of `now_ms`: what was written before the partition was
    /// loaded may be later than any time that it remembers.
    #[must_use]
    pub fn continue_epoch(&self, now_ms: u64) -> Effects {
        Effects {
            at_ms: self.latest_ms.max(now_ms),
            mark: true,
            ..self.begin_epoch()
        }
    }
}
