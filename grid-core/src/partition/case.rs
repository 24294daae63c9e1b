//! A proposal together with what the partition holds of its key.

use super::key_hasher::KeyHash;
use super::lookup::{Sought, find_all};
use super::machine::Partition;
use super::map_state::MapState;
use super::proposal::Proposal;
use super::slot::Slot;
use crate::address::MapAddress;

/// What is to be decided about one key.
pub(super) struct Case<'a> {
    pub(super) proposal: &'a Proposal,
    /// The key's hash.
    pub(super) hash: KeyHash,
    /// The key's entry or tombstone before the batch.
    pub(super) held: Option<&'a Slot>,
}

impl<'a> Case<'a> {
    /// The cases of a batch, in order; their keys are looked up together.
    pub(super) fn all(partition: &'a Partition, proposals: &'a [Proposal]) -> Vec<Self> {
        // Most ops of a batch are of one map.
        let mut last: Option<(&MapAddress, Option<&MapState>)> = None;
        let sought: Vec<Sought<'_>> = proposals
            .iter()
            .map(|proposal| {
                let address = &proposal.address;
                let known = last.filter(|(known, _)| *known == address);
                let (_, map) =
                    *last.insert(known.unwrap_or_else(|| (address, partition.map(address))));
                let key = proposal.op.key.as_bytes();
                Sought { map, key }
            })
            .collect();
        find_all(partition.config.seed, &sought)
            .into_iter()
            .zip(sought)
            .zip(proposals)
            .map(|((found, sought), proposal)| Self {
                proposal,
                hash: found.hash,
                held: found.slot.and_then(|number| sought.map?.slot(number)),
            })
            .collect()
    }
}
