//! The server's side of a comparison: pure answers to the steps of a descent.

use super::shape::{MAX_PARENTS_PER_STEP, SMALL_SET_ENTRIES, depth, index, is_leaf_bits, nodes};
use super::tree::MerkleTree;
use crate::digest::EntryDigest;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_ITEMS_PER_MESSAGE;

/// What the server says to one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// For [`crate::protocol::RepairNodes`], with the level and parents as asked.
    Nodes {
        /// Leaf bits of the descent from here on.
        bits: u8,
        /// The sums of the children of all parents, one after the other.
        sums: Vec<u64>,
    },
    /// For [`crate::protocol::RepairLeaves`]: one message each, in this order.
    Leaves(Vec<LeafListing>),
    /// The listing of one leaf fits into no message: send everything instead.
    Snapshot,
}

/// The entries of some leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafListing {
    /// Leaf bits of the descent.
    pub bits: u8,
    /// The leaves, ascending.
    pub leaves: Vec<u32>,
    /// Key hash and short digest of every entry in them, ascending by key hash.
    pub entries: Vec<(u64, u64)>,
}

fn protocol(message: String) -> Error {
    Error::new(ErrorKind::Protocol, "answer a repair", message)
}

/// Checks that `list` is ascending without repetition and below `bound`.
fn check_ascending(what: &str, list: &[u32], bound: usize) -> Result<()> {
    if list.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(protocol(format!(
            "the {what} must ascend without repetition"
        )));
    }
    match list.last() {
        Some(last) if *last as usize >= bound => Err(protocol(format!(
            "there is no {what} {last}; there are {bound}"
        ))),
        _ => Ok(()),
    }
}

/// Answers [`crate::protocol::RepairStep::Nodes`].
///
/// The first step of a descent (`bits` 0) is answered from `tree` with its own shape: nodes, or
/// the listing of everything when the tree is only a root. A later step names the bits of its
/// descent; should the tree have changed its shape since, a tree of that shape is built from
/// `entries`. So `entries` gives the same entries as `tree`, and is called only when needed.
///
/// # Errors
/// `Protocol` when the step names bits, a level or parents that cannot be, or more than
/// [`super::MAX_PARENTS_PER_STEP`] of them.
pub fn answer_nodes<I>(
    tree: &MerkleTree,
    bits: u8,
    level: u8,
    parents: &[u32],
    entries: impl FnOnce() -> I,
) -> Result<Answer>
where
    I: IntoIterator<Item = EntryDigest>,
{
    if !is_leaf_bits(bits) {
        return Err(protocol(format!("no tree has {bits} leaf bits")));
    }
    if bits == 0 {
        if level != 0 || parents != [0] {
            return Err(protocol("a descent starts at the root".to_owned()));
        }
        if tree.bits() == 0 {
            return answer_leaves(0, &[0], entries());
        }
        return nodes_of(tree, level, parents);
    }
    if level >= depth(bits) {
        return Err(protocol(format!("level {level} has no children")));
    }
    if parents.len() > MAX_PARENTS_PER_STEP {
        return Err(protocol(format!(
            "{} parents; at most {MAX_PARENTS_PER_STEP} are allowed",
            parents.len()
        )));
    }
    check_ascending("parents", parents, nodes(bits, level))?;
    if tree.bits() == bits {
        nodes_of(tree, level, parents)
    } else {
        nodes_of(&MerkleTree::build(bits, entries()), level, parents)
    }
}

fn nodes_of(tree: &MerkleTree, level: u8, parents: &[u32]) -> Result<Answer> {
    let mut sums = Vec::with_capacity(parents.len() << super::LEVEL_BITS);
    for parent in parents {
        let children = tree
            .children(level, *parent)
            .ok_or_else(|| protocol(format!("there is no node {parent} at level {level}")))?;
        sums.extend_from_slice(children);
    }
    Ok(Answer::Nodes {
        bits: tree.bits(),
        sums,
    })
}

/// Answers [`crate::protocol::RepairStep::Leaves`] from all entries of the set, in one pass.
///
/// A listing that would exceed [`MAX_ITEMS_PER_MESSAGE`] entries is split between leaves.
///
/// # Errors
/// `Protocol` when the step names bits or leaves that cannot be.
pub fn answer_leaves(
    bits: u8,
    leaves: &[u32],
    entries: impl IntoIterator<Item = EntryDigest>,
) -> Result<Answer> {
    if !is_leaf_bits(bits) {
        return Err(protocol(format!("no tree has {bits} leaf bits")));
    }
    check_ascending("leaves", leaves, 1 << bits)?;
    let mut asked = vec![false; 1 << bits];
    for leaf in leaves {
        asked[*leaf as usize] = true;
    }
    let mut found: Vec<(u64, u64)> = Vec::with_capacity(SMALL_SET_ENTRIES);
    for entry in entries {
        if asked[index(entry.key_hash, bits) as usize] {
            found.push((entry.key_hash, entry.short()));
        }
    }
    found.sort_unstable();

    let mut listings = vec![LeafListing::new(bits)];
    let mut rest = found.as_slice();
    for leaf in leaves {
        let end = rest.partition_point(|(key_hash, _)| index(*key_hash, bits) <= *leaf);
        let (here, after) = rest.split_at(end);
        rest = after;
        if here.len() > MAX_ITEMS_PER_MESSAGE {
            return Ok(Answer::Snapshot);
        }
        if listings
            .last()
            .is_some_and(|listing| listing.entries.len() + here.len() > MAX_ITEMS_PER_MESSAGE)
        {
            listings.push(LeafListing::new(bits));
        }
        if let Some(listing) = listings.last_mut() {
            listing.leaves.push(*leaf);
            listing.entries.extend_from_slice(here);
        }
    }
    Ok(Answer::Leaves(listings))
}

impl LeafListing {
    fn new(bits: u8) -> Self {
        Self {
            bits,
            leaves: Vec::new(),
            entries: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DigestKey, Stamp};

    #[test]
    fn leaves_are_listed_in_order_whatever_the_order_of_the_entries() {
        let key = DigestKey(3);
        let entry = |number: u32| key.entry(&number.to_le_bytes(), &Stamp::ZERO, b"v");
        let entries: Vec<EntryDigest> = (0..2_000).map(entry).collect();
        assert!(!entries.is_sorted_by_key(|entry| entry.key_hash));
        let bits = 8;
        let leaves: Vec<u32> = (0..256).filter(|leaf| leaf % 3 == 0).collect();
        let Ok(Answer::Leaves(listings)) = answer_leaves(bits, &leaves, entries.iter().copied())
        else {
            panic!("listings");
        };
        let listed: Vec<(u64, u64)> = listings
            .iter()
            .flat_map(|listing| listing.entries.iter().copied())
            .collect();
        let mut expected: Vec<(u64, u64)> = entries
            .iter()
            .filter(|entry| leaves.contains(&index(entry.key_hash, bits)))
            .map(|entry| (entry.key_hash, entry.short()))
            .collect();
        expected.sort_unstable();
        assert_eq!(listed, expected);
    }
}
