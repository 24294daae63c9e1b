//! What a partition does on its own as time goes by: expire, collect tombstones, forget runs.

use super::draft::Draft;
use super::effects::Effects;
use super::machine::Partition;
use super::proposal::Rules;
use crate::address::MapAddress;
use crate::hlc::Hlc;
use crate::record::{Record, Sequence};

/// Most entries that one batch expires; the rest is due in the next one.
pub const MAX_EXPIRIES_PER_BATCH: usize = 1024;

impl Partition {
    /// What is due at `now_ms`, as effects to be journalled like any others. The system of record
    /// holds everything up to `stored`.
    ///
    /// No tombstone is collected before it is stored: the system of record would keep the entry
    /// that it removed, and bring it back with the next start.
    ///
    /// An entry expires by a tombstone under its own stamp: it beats exactly that version, in the
    /// order of [`Record::merge_order`], and loses to anything later.
    #[must_use]
    pub fn housekeeping(&self, now_ms: u64, rules: &Rules, stored: Sequence) -> Effects {
        let mut draft = Draft::new(self, now_ms, 0);
        for (address, record) in self.due(now_ms) {
            let hash = self.config.seed.hash(record.key.as_bytes());
            let at = draft.locate(address, hash);
            draft.write(at, record);
        }
        let mut effects = draft.finish();
        effects.collect = self
            .horizon
            .due(now_ms, rules.retention_ms, stored)
            .map(|through| (through, self.highest_tombstone(through)));
        effects.forgotten = match now_ms.checked_sub(rules.retention_ms) {
            Some(before_ms) => self.runs.released_before(before_ms).collect(),
            None => Vec::new(),
        };
        let last_mark = self.horizon.marks.back().map(|(_, sequence)| *sequence);
        effects.mark = effects.sequence_after() > last_mark.unwrap_or_default()
            && self.horizon.wants_mark(now_ms, rules.retention_ms);
        effects
    }

    /// The highest time of the tombstones up to `through`.
    fn highest_tombstone(&self, through: Sequence) -> Hlc {
        let after = self.horizon.collected_through;
        self.maps
            .iter()
            .flat_map(|map| map.tombstones(after, through))
            .map(|(_, slot)| slot.stamp.hlc)
            .max()
            .unwrap_or_default()
    }

    fn due(&self, now_ms: u64) -> impl Iterator<Item = (&MapAddress, Record)> {
        self.maps
            .iter()
            .flat_map(move |map| map.due(now_ms).map(|slot| (map.address(), slot)))
            .take(MAX_EXPIRIES_PER_BATCH)
            .map(|(address, slot)| {
                let tombstone = Record {
                    value: None,
                    expires_at_ms: None,
                    ..slot.record()
                };
                (address, tombstone)
            })
    }
}
