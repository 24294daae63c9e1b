//! A decision in the making: the partition's state, seen through the ops decided before in the
//! same batch.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use hashbrown::HashTable;

use super::effects::{EffectRecord, Effects};
use super::key_hasher::KeyHash;
use super::machine::Partition;
use super::runs::{Run, RunUpdate};
use super::slot::Slot;
use super::version::Version;
use crate::address::{Key, MapAddress};
use crate::hlc::Hlc;
use crate::op::RunId;
use crate::protocol::Verdict;
use crate::record::{Record, Sequence};

/// Effects so far, and quick ways to what they hold.
pub(super) struct Draft<'a> {
    partition: &'a Partition,
    effects: Effects,
    /// The last effect of each key, by the key's hash: indexes into the effects' records.
    latest: HashTable<u32>,
    runs: BTreeMap<RunId, RunDraft<'a>>,
    /// The effects' maps by their addresses.
    by_address: BTreeMap<MapAddress, u32>,
    /// The map of the op before: most ops of a batch are of one map.
    last_map: Option<u32>,
}

/// A run as the batch leaves it.
pub(super) struct RunDraft<'a> {
    before: Option<&'a Run>,
    pub(super) principal: Arc<str>,
    pub(super) watermark: u64,
    pub(super) last_hlc: Hlc,
    exceptions: BTreeMap<u64, Verdict>,
    changed: bool,
}

impl RunDraft<'_> {
    /// The verdict that the op got, if it was decided already.
    pub(super) fn decided(&self, number: u64) -> Option<Verdict> {
        if number > self.watermark {
            return None;
        }
        let verdict = self.exceptions.get(&number).or_else(|| {
            let before = self.before?;
            before.exceptions.get(&number)
        });
        Some(verdict.cloned().unwrap_or(Verdict::Accepted))
    }

    /// Takes note of a verdict.
    pub(super) fn decide(&mut self, number: u64, verdict: &Verdict) {
        self.changed = true;
        self.watermark = number;
        if *verdict != Verdict::Accepted {
            self.exceptions.insert(number, verdict.clone());
        }
    }
}

impl<'a> Draft<'a> {
    /// A draft with room for `records` versions.
    pub(super) fn new(partition: &'a Partition, now_ms: u64, records: usize) -> Self {
        Self {
            partition,
            effects: Effects {
                at_ms: now_ms,
                base: partition.sequence,
                clock: partition.clock,
                records: Vec::with_capacity(records),
                ..Effects::default()
            },
            latest: HashTable::with_capacity(records),
            runs: BTreeMap::new(),
            by_address: BTreeMap::new(),
            last_map: None,
        }
    }

    /// The highest time of any version, those of this batch included.
    pub(super) fn clock(&self) -> Hlc {
        self.effects.clock
    }

    /// The run, bound to `principal` if nobody pushed it before.
    pub(super) fn run(&mut self, run: RunId, principal: &Arc<str>) -> &mut RunDraft<'a> {
        match self.runs.entry(run) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let before = self.partition.runs.get(run);
                entry.insert(RunDraft {
                    before,
                    principal: before
                        .map_or_else(|| principal.clone(), |run| run.principal.clone()),
                    watermark: before.map_or(0, |run| run.watermark),
                    last_hlc: before.map_or(Hlc::ZERO, |run| run.last_hlc),
                    exceptions: BTreeMap::new(),
                    changed: false,
                })
            }
        }
    }

    /// The number of a map within this batch, with the hash of a key.
    pub(super) fn locate(&mut self, address: &MapAddress, hash: KeyHash) -> Located {
        Located {
            map: self.map(address),
            hash,
        }
    }

    fn map(&mut self, address: &MapAddress) -> u32 {
        let maps = &mut self.effects.maps;
        let last = self.last_map.filter(|map| maps[*map as usize] == *address);
        let known = last.or_else(|| self.by_address.get(address).copied());
        let map = known.unwrap_or_else(|| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a batch has far fewer than 4 billion ops"
            )]
            let map = maps.len() as u32;
            maps.push(address.clone());
            self.by_address.insert(address.clone(), map);
            map
        });
        self.last_map = Some(map);
        map
    }

    /// The current version of a key, tombstones included; `held` is what the partition has.
    pub(super) fn current(
        &self,
        at: Located,
        key: &Key,
        held: Option<&'a Slot>,
    ) -> Option<Version<'a>> {
        let effect = self.latest.find(at.spot(), |index| {
            let effect = &self.effects.records[*index as usize];
            effect.map == at.map && effect.record.key == *key
        });
        if let Some(index) = effect {
            let drafted = &self.effects.records[*index as usize].record;
            return Some(Version::Drafted(drafted.clone()));
        }
        held.map(Version::Held)
    }

    /// Gives `record` the next sequence and makes it the key's current version.
    pub(super) fn write(&mut self, at: Located, mut record: Record) -> Sequence {
        let sequence = self.effects.sequence_after().next();
        record.sequence = sequence;
        self.effects.clock = self.effects.clock.max(record.stamp.hlc);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a batch has far fewer than 4 billion ops"
        )]
        let index = self.effects.records.len() as u32;
        let (records, seed) = (&self.effects.records, self.partition.config.seed);
        let same = |other: &u32| {
            let effect = &records[*other as usize];
            effect.map == at.map && effect.record.key == record.key
        };
        if let Some(latest) = self.latest.find_mut(at.spot(), same) {
            *latest = index;
        } else {
            self.latest.insert_unique(at.spot(), index, |other| {
                let effect = &records[*other as usize];
                let hash = seed.hash(effect.record.key.as_bytes());
                let map = effect.map;
                Located { map, hash }.spot()
            });
        }
        self.effects.records.push(EffectRecord {
            map: at.map,
            record,
        });
        sequence
    }

    /// The effects without what did not change.
    pub(super) fn finish(mut self) -> Effects {
        self.effects.runs = self
            .runs
            .into_iter()
            .filter(|(_, draft)| draft.changed)
            .map(|(run, draft)| RunUpdate {
                run,
                principal: draft.principal,
                watermark: draft.watermark,
                last_hlc: draft.last_hlc,
                exceptions: draft.exceptions.into_iter().collect(),
            })
            .collect();
        self.effects
    }
}

/// A map's number within a batch, and a key's hash.
#[derive(Clone, Copy)]
pub(super) struct Located {
    map: u32,
    hash: KeyHash,
}

impl Located {
    /// Where the key's last effect is looked for: one key in many maps must not be one place.
    fn spot(self) -> u64 {
        /// The golden ratio: spreads small numbers over all bits.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        self.hash.wide() ^ u64::from(self.map).wrapping_mul(SPREAD)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::partition::TableSeed;

    #[test]
    fn one_key_in_many_maps_stands_at_many_places() {
        let hash = TableSeed(1, 2).hash(b"k");
        let spots = (0..10_000).map(|map| Located { map, hash }.spot());
        // Tables look at the lower bits for the place, and at the upper ones before they compare.
        let spread: BTreeSet<(u64, u64)> =
            spots.map(|spot| (spot % (1 << 14), spot >> 57)).collect();
        assert!(spread.len() > 9_000, "{} of 10,000", spread.len());
    }
}
