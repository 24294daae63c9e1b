//! Reading a partition: what changed since a cursor, pages by key, entries by their hash.

use std::collections::{BTreeSet, BinaryHeap};

use super::delta_log::Place;
use super::machine::Partition;
use crate::address::{Key, MapAddress};
use crate::digest::EntryDigest;
use crate::error::Result;
use crate::merkle::{Answer, MerkleTree, answer_leaves, answer_nodes, leaf_bits_for};
use crate::mutation::{Mutation, planted};
use crate::protocol::Selector;
use crate::record::{History, Record, Sequence};

/// How much of an answer fits into one piece. At least one record always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Most records.
    pub records: usize,
    /// Bytes of keys and values at which the piece is full.
    pub bytes: usize,
}

impl Budget {
    /// Everything.
    pub const ALL: Self = Self {
        records: usize::MAX,
        bytes: usize::MAX,
    };
}

/// How a subscriber gets level with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// It has nothing: send the live entries.
    Snapshot,
    /// Send what changed after this cursor.
    Changes(Sequence),
    /// Its cursor is of no use here: it compares the root, and repairs.
    Reset,
}

/// One piece of what changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The records, each key once, in the order of their sequences.
    pub records: Vec<Record>,
    /// Everything at or below this sequence has been looked at.
    pub through: Sequence,
    /// Whether nothing is left up to the partition's sequence.
    pub complete: bool,
}

/// Live records in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPage {
    /// The records.
    pub records: Vec<Record>,
    /// Whether there are more after these.
    pub more: bool,
}

impl Partition {
    /// How a subscriber that stands at `cursor` of `history` gets level; `None` when it holds
    /// nothing of this partition.
    #[must_use]
    pub fn catch_up(&self, history: History, cursor: Option<Sequence>) -> CatchUp {
        match cursor {
            None => CatchUp::Snapshot,
            Some(cursor)
                if history == self.history()
                    && cursor >= self.horizon()
                    && cursor <= self.sequence() =>
            {
                CatchUp::Changes(cursor)
            }
            Some(_) => CatchUp::Reset,
        }
    }

    /// Whether `cursor` lies beyond the sequence although it is of this history: what the client
    /// saw there is lost, because the partition was put back to an earlier state.
    #[must_use]
    pub fn is_overtaken(&self, history: History, cursor: Option<Sequence>) -> bool {
        history == self.history() && cursor.is_some_and(|cursor| cursor > self.sequence())
    }

    /// What changed after `after`, tombstones of a sequence above `tombstones_after` included.
    #[must_use]
    pub fn changes(
        &self,
        address: &MapAddress,
        selector: &Selector,
        after: Sequence,
        tombstones_after: Sequence,
        budget: Budget,
    ) -> Changes {
        let mut changes = Changes {
            through: after,
            ..Changes::default()
        };
        let mut bytes = 0;
        let after = if planted(Mutation::OffByOneCursor) {
            after.next()
        } else {
            after
        };
        for (place, slot) in self
            .map(address)
            .into_iter()
            .flat_map(|map| map.current_after(after))
        {
            let wanted = slot.is_live() || place.sequence > tombstones_after;
            if wanted && selector.matches_bytes(slot.key()) {
                if changes.records.len() >= budget.records || bytes >= budget.bytes {
                    return changes;
                }
                bytes += slot.size();
                changes.records.push(slot.record());
            }
            changes.through = place.sequence;
        }
        changes.through = self.sequence();
        changes.complete = true;
        changes
    }

    /// The record at `place`, unless the key has changed since.
    #[must_use]
    pub fn record_at(&self, address: &MapAddress, place: Place) -> Option<Record> {
        Some(self.map(address)?.at(place)?.record())
    }

    /// Where the live entries with these key hashes stand, in the order of their sequences.
    #[must_use]
    pub fn find_hashes(
        &self,
        address: &MapAddress,
        selector: &Selector,
        hashes: &[u64],
    ) -> Vec<Place> {
        let wanted: BTreeSet<u64> = hashes.iter().copied().collect();
        let key = self.config.digest_key;
        let mut places: Vec<Place> = self
            .map(address)
            .into_iter()
            .flat_map(|map| map.places())
            .filter(|(_, slot)| {
                slot.is_live()
                    && selector.matches_bytes(slot.key())
                    && wanted.contains(&key.key_hash(slot.key()))
            })
            .map(|(place, _)| place)
            .collect();
        places.sort_unstable();
        places
    }

    /// Up to `limit` live records whose keys come after `after`, in the order of their keys.
    #[must_use]
    pub fn page(
        &self,
        address: &MapAddress,
        selector: &Selector,
        after: Option<&Key>,
        budget: Budget,
    ) -> KeyPage {
        let after = after.map_or(&[][..], Key::as_bytes);
        let mut first: BinaryHeap<(&[u8], Place)> = BinaryHeap::new();
        let mut more = false;
        let Some(map) = self.map(address) else {
            return KeyPage::default();
        };
        for (place, slot) in map.places() {
            let key = slot.key();
            if !slot.is_live() || key <= after || !selector.matches_bytes(key) {
                continue;
            }
            first.push((key, place));
            if first.len() > budget.records {
                first.pop();
                more = true;
            }
        }
        let mut records = Vec::with_capacity(first.len());
        let mut bytes = 0;
        for (_, place) in first.into_sorted_vec() {
            let Some(slot) = map.at(place) else { continue };
            if bytes + slot.size() > budget.bytes && !records.is_empty() {
                more = true;
                break;
            }
            bytes += slot.size();
            records.push(slot.record());
        }
        KeyPage { records, more }
    }

    /// The digests of the live entries that `selector` matches.
    pub fn digests<'a>(
        &'a self,
        address: &MapAddress,
        selector: &'a Selector,
    ) -> impl Iterator<Item = EntryDigest> + use<'a> {
        self.map(address)
            .into_iter()
            .flat_map(move |map| map.digests(selector))
    }

    /// Answers a repair step about the nodes of a view's tree.
    ///
    /// # Errors
    /// `Protocol` when the step names nodes that cannot be.
    pub fn repair_nodes(
        &self,
        address: &MapAddress,
        selector: &Selector,
        bits: u8,
        level: u8,
        parents: &[u32],
    ) -> Result<Answer> {
        let entries = || self.digests(address, selector);
        let tree;
        let tree = match (self.map(address), selector) {
            (Some(map), Selector::All) => map.tree(),
            _ => {
                tree = MerkleTree::build(leaf_bits_for(entries().count()), entries());
                &tree
            }
        };
        answer_nodes(tree, bits, level, parents, entries)
    }

    /// Answers a repair step about the leaves of a view's tree.
    ///
    /// # Errors
    /// `Protocol` when the step names leaves that cannot be.
    pub fn repair_leaves(
        &self,
        address: &MapAddress,
        selector: &Selector,
        bits: u8,
        leaves: &[u32],
    ) -> Result<Answer> {
        answer_leaves(bits, leaves, self.digests(address, selector))
    }
}
