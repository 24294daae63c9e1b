//! What a partition holds of one map: entries, tree and delta log, kept level with each other.

use std::collections::BTreeSet;

use hashbrown::HashTable;

use super::delta_log::{DeltaLog, Place};
use super::key_hasher::{KeyHash, TableSeed};
use super::lookup::Found;
use super::slot::Slot;
use crate::address::{Key, MapAddress};
use crate::digest::{DigestKey, EntryDigest};
use crate::merkle::MerkleTree;
use crate::mutation::{Mutation, planted};
use crate::protocol::Selector;
use crate::record::{Record, Sequence};

/// The entries and tombstones of one map in one partition.
#[derive(Debug, Clone)]
pub(super) struct MapState {
    address: MapAddress,
    seed: TableSeed,
    digest_key: DigestKey,
    /// Slot numbers by the hash of the key.
    table: HashTable<u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    tree: MerkleTree,
    log: DeltaLog,
    /// When live entries cease to exist, and their slots.
    expiring: BTreeSet<(u64, u32)>,
}

/// What one new version did to its map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) place: Place,
    /// By how much the root changed, modulo 2^128.
    pub(super) root: u128,
}

impl MapState {
    pub(super) fn new(address: MapAddress, seed: TableSeed, digest_key: DigestKey) -> Self {
        Self {
            address,
            seed,
            digest_key,
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            tree: MerkleTree::new(),
            log: DeltaLog::default(),
            expiring: BTreeSet::new(),
        }
    }

    pub(super) fn address(&self) -> &MapAddress {
        &self.address
    }

    pub(super) fn tree(&self) -> &MerkleTree {
        &self.tree
    }

    /// Entries and tombstones.
    pub(super) fn occupied(&self) -> usize {
        self.table.len()
    }

    /// The entry or tombstone of `key`; `hash` is the key's.
    pub(super) fn find(&self, hash: KeyHash, key: &[u8]) -> Option<&Slot> {
        self.slot(self.number(hash, key)?)
    }

    /// The number of the slot that holds `key`; `hash` is the key's.
    pub(super) fn number(&self, hash: KeyHash, key: &[u8]) -> Option<u32> {
        self.table
            .find(hash.wide(), |number| self.key_of(*number) == Some(key))
            .copied()
    }

    /// The number of a slot whose key may have this hash; none only when no key has it.
    pub(super) fn candidate(&self, hash: KeyHash) -> Option<u32> {
        self.table.find(hash.wide(), |_| true).copied()
    }

    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)?.as_ref()
    }

    pub(super) fn key_of(&self, number: u32) -> Option<&[u8]> {
        self.slot(number).map(Slot::key)
    }

    /// The version at `place`, if it is still the key's current one.
    pub(super) fn at(&self, place: Place) -> Option<&Slot> {
        self.slot(place.slot)
            .filter(|slot| slot.sequence == place.sequence)
    }

    /// Places whose version is still current, after `after`, in the order of their sequences.
    pub(super) fn current_after(&self, after: Sequence) -> impl Iterator<Item = (Place, &Slot)> {
        self.log
            .after(after)
            .filter_map(|place| Some((*place, self.at(*place)?)))
    }

    /// All entries and tombstones, in no order that means anything.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, &Slot)> {
        self.slots.iter().zip(0u32..).filter_map(|(slot, number)| {
            let slot = slot.as_ref()?;
            let place = Place {
                sequence: slot.sequence,
                slot: number,
            };
            Some((place, slot))
        })
    }

    /// The digests of the live entries that `selector` matches.
    pub(super) fn digests(&self, selector: &Selector) -> impl Iterator<Item = EntryDigest> {
        self.places()
            .filter(move |(_, slot)| selector.matches_bytes(slot.key()))
            .filter_map(|(_, slot)| slot.digest(self.digest_key))
    }

    /// Puts a version in place of what there is, which is where `found` says unless the key was
    /// added since. A record whose sequence is not above the current one changes nothing: it was
    /// loaded already.
    pub(super) fn put(&mut self, found: Found, record: &Record) -> Option<Change> {
        let new = self.digest_key.record(record);
        let number = found
            .slot
            .or_else(|| self.number(found.hash, record.key.as_bytes()));
        let (number, old) = match number {
            Some(number) => (number, self.replace(number, record, new)?),
            None => (
                self.insert(found.hash, Slot::new(record, found.hash, new)),
                None,
            ),
        };
        let root = self.tree.root();
        match (old, new) {
            (None, None) => {}
            (None, Some(new)) => self.tree.insert(new),
            (Some(_), None) if planted(Mutation::StaleMerkleLeaf) => {}
            (Some(old), None) => self.tree.remove(old),
            (Some(old), Some(new)) => self.tree.replace(old, new),
        }
        let place = Place {
            sequence: record.sequence,
            slot: number,
        };
        if let Some(at_ms) = self.slot(number).and_then(Slot::expires_at_ms) {
            self.expiring.insert((at_ms, number));
        }
        self.log.push(place);
        let root = self.tree.root().wrapping_sub(root);
        if new.is_none() && planted(Mutation::DropTombstone) {
            self.remove(number);
        }
        Some(Change { place, root })
    }

    /// The digest of what was replaced, or `None` when it stays.
    fn replace(
        &mut self,
        number: u32,
        record: &Record,
        digest: Option<EntryDigest>,
    ) -> Option<Option<EntryDigest>> {
        let current = self.slots[number as usize].as_mut()?;
        if current.sequence >= record.sequence {
            return None;
        }
        let old = current.digest(self.digest_key);
        if let Some(at_ms) = current.expires_at_ms() {
            self.expiring.remove(&(at_ms, number));
        }
        current.overwrite(record, digest);
        Some(old)
    }

    fn insert(&mut self, hash: KeyHash, slot: Slot) -> u32 {
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = Some(slot);
            number
        } else {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "4 billion entries of one map in one partition do not fit into memory"
            )]
            let number = self.slots.len() as u32;
            self.slots.push(Some(slot));
            number
        };
        let slots = &self.slots;
        self.table.insert_unique(hash.wide(), number, |number| {
            let slot = slots[*number as usize].as_ref();
            slot.map_or(0, |slot| slot.hash.wide())
        });
        number
    }

    /// Puts a loaded version in place; tree and log stand still until
    /// [`MapState::finish_load`].
    pub(super) fn load(&mut self, record: &Record) {
        let key = record.key.as_bytes();
        let hash = self.seed.hash(key);
        if self.find(hash, key).is_none() {
            let digest = self.digest_key.record(record);
            self.insert(hash, Slot::new(record, hash, digest));
        }
    }

    /// Builds what follows from the loaded entries.
    pub(super) fn finish_load(&mut self) {
        let places = self.places().map(|(place, _)| place).collect();
        let expiring = self
            .places()
            .filter_map(|(place, slot)| Some((slot.expires_at_ms()?, place.slot)))
            .collect();
        self.log.rebuild(places);
        self.expiring = expiring;
        let mut tree = MerkleTree::new();
        for digest in self.digests(&Selector::All) {
            tree.insert(digest);
        }
        self.tree = tree;
        self.keep_shape();
    }

    /// Gives tree and log the shape that suits their content; called once a batch.
    pub(super) fn keep_shape(&mut self) {
        if self.tree.wants_rebuild() {
            let mut tree = std::mem::take(&mut self.tree);
            tree.rebuild(self.digests(&Selector::All));
            self.tree = tree;
        }
        let slots = &self.slots;
        self.log
            .compact(self.table.len(), |place| is_current(slots, place));
    }

    /// Live entries that cease to exist at or before `now_ms`, the first ones first.
    pub(super) fn due(&self, now_ms: u64) -> impl Iterator<Item = &Slot> {
        self.expiring
            .iter()
            .take_while(move |(at_ms, _)| *at_ms <= now_ms)
            .filter_map(|(_, number)| self.slot(*number))
    }

    /// The tombstones after `after` up to `through`.
    pub(super) fn tombstones(
        &self,
        after: Sequence,
        through: Sequence,
    ) -> impl Iterator<Item = (Place, &Slot)> {
        self.current_after(after)
            .take_while(move |(place, _)| place.sequence <= through)
            .filter(|(_, slot)| !slot.is_live())
    }

    /// Forgets the tombstones after `after` up to `through`.
    pub(super) fn collect(&mut self, after: Sequence, through: Sequence) {
        self.log.sort();
        let dead: Vec<Place> = self
            .tombstones(after, through)
            .map(|(place, _)| place)
            .collect();
        for place in dead {
            self.remove(place.slot);
        }
        let slots = &self.slots;
        self.log
            .compact_at_once(self.table.len(), |place| is_current(slots, place));
    }

    fn remove(&mut self, number: u32) {
        let Some(slot) = self.slots[number as usize].take() else {
            return;
        };
        let hash = slot.hash.wide();
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        self.free.push(number);
    }

    /// Makes ready for reading after a replay.
    pub(super) fn finish_replay(&mut self) {
        self.log.sort();
    }

    /// The record of `key`, tombstones included.
    pub(super) fn record(&self, key: &Key) -> Option<Record> {
        let key = key.as_bytes();
        self.find(self.seed.hash(key), key).map(Slot::record)
    }

    #[cfg(test)]
    pub(super) fn log_len(&self) -> usize {
        self.log.len()
    }
}

fn is_current(slots: &[Option<Slot>], place: &Place) -> bool {
    slots[place.slot as usize]
        .as_ref()
        .is_some_and(|slot| slot.sequence == place.sequence)
}
