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
        let known = self
            .last_map
            .filter(|map| maps[*map as usize] == *address)
            .or_else(|| {
                let index = maps.iter().position(|map| map == address)?;
                u32::try_from(index).ok()
            });
        let map = known.unwrap_or_else(|| {
            maps.push(address.clone());
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a batch has far fewer than 4 billion ops"
            )]
            {
                (maps.len() - 1) as u32
            }
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
        let effect = self.latest.find(at.hash.wide(), |index| {
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
        if let Some(latest) = self.latest.find_mut(at.hash.wide(), same) {
            *latest = index;
        } else {
            self.latest.insert_unique(at.hash.wide(), index, |other| {
                let key = &records[*other as usize].record.key;
                seed.hash(key.as_bytes()).wide()
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
