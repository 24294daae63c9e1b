//! The tree itself: sums of entry digests, kept up to date one entry at a time.

use super::shape::{depth, fan_out, index, is_leaf_bits, leaf_bits_for, nodes, width};
use crate::digest::EntryDigest;

/// Sums over the live entries of one map in one partition.
///
/// The root is the wrapping 128-bit sum of all digests and does not depend on the tree's shape.
/// Below [`super::SMALL_SET_ENTRIES`] entries that is all there is ([`MerkleTree::bits`] is 0);
/// a larger tree also keeps, level by level, wrapping 64-bit sums of the digests' low halves.
///
/// The tree does not hold the entries, so it cannot change its own shape: after a change ask
/// [`MerkleTree::wants_rebuild`], and if so pass all entries to [`MerkleTree::rebuild`]. The
/// bounds are apart far enough that this costs O(1) a change, amortised.
///
/// ```
/// use grid_core::merkle::MerkleTree;
/// use grid_core::{DigestKey, Stamp};
///
/// let key = DigestKey(7);
/// let old = key.entry(b"a", &Stamp::ZERO, b"1");
/// let new = key.entry(b"a", &Stamp::ZERO, b"2");
/// let mut tree = MerkleTree::new();
/// tree.insert(old);
/// tree.replace(old, new);
/// assert_eq!(tree.root(), new.digest);
/// tree.remove(new);
/// assert_eq!((tree.root(), tree.len()), (0, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MerkleTree {
    root: u128,
    len: usize,
    bits: u8,
    /// `levels[0]` are the children of the root; the last are the leaves.
    levels: Vec<Level>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Level {
    width: u8,
    sums: Box<[u64]>,
}

impl MerkleTree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of these entries with the leaf bits that another tree has; 0 builds only the root.
    ///
    /// # Panics
    /// When no tree can have `bits` leaf bits; bits from a peer are checked before.
    #[must_use]
    pub fn build(bits: u8, entries: impl IntoIterator<Item = EntryDigest>) -> Self {
        assert!(is_leaf_bits(bits), "{bits} leaf bits");
        let mut tree = Self {
            bits,
            levels: (1..=depth(bits))
                .map(|level| Level {
                    width: width(bits, level),
                    sums: vec![0; nodes(bits, level)].into_boxed_slice(),
                })
                .collect(),
            ..Self::default()
        };
        for entry in entries {
            tree.insert(entry);
        }
        tree
    }

    /// Adds an entry that is not in the tree.
    #[inline]
    pub fn insert(&mut self, entry: EntryDigest) {
        self.len += 1;
        self.shift(entry.key_hash, entry.digest);
    }

    /// Takes out an entry that is in the tree.
    #[inline]
    pub fn remove(&mut self, entry: EntryDigest) {
        self.len -= 1;
        self.shift(entry.key_hash, entry.digest.wrapping_neg());
    }

    /// Takes out `old` and adds `new`, another version of the same key.
    #[inline]
    pub fn replace(&mut self, old: EntryDigest, new: EntryDigest) {
        debug_assert_eq!(old.key_hash, new.key_hash, "versions of one key");
        self.shift(new.key_hash, new.digest.wrapping_sub(old.digest));
    }

    /// Adds `delta` to the root and, by its low half, to every node on the path.
    #[inline]
    fn shift(&mut self, key_hash: u64, delta: u128) {
        self.root = self.root.wrapping_add(delta);
        #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
        let short = delta as u64;
        for level in &mut self.levels {
            let sum = &mut level.sums[index(key_hash, level.width) as usize];
            *sum = sum.wrapping_add(short);
        }
    }

    /// The wrapping 128-bit sum of all digests; 0 when empty.
    #[must_use]
    pub fn root(&self) -> u128 {
        self.root
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bits of the key hash name a leaf; 0 when the tree is only its root.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Levels below the root; the last one holds the leaves.
    #[must_use]
    pub fn depth(&self) -> u8 {
        depth(self.bits)
    }

    /// The sums of the nodes of one level, counted from 1 below the root; `None` beyond the
    /// leaves and for level 0, which is the low half of [`MerkleTree::root`].
    #[must_use]
    pub fn level(&self, level: u8) -> Option<&[u64]> {
        let above = usize::from(level).checked_sub(1)?;
        self.levels.get(above).map(|level| &*level.sums)
    }

    /// The sums of the children of node `parent` of `level`; level 0 is the root. `None` when
    /// there is no such node or it is a leaf.
    #[must_use]
    pub fn children(&self, level: u8, parent: u32) -> Option<&[u64]> {
        if level >= self.depth() {
            return None;
        }
        let fan_out = fan_out(self.bits, level);
        let first = (parent as usize).checked_mul(fan_out)?;
        self.level(level + 1)?
            .get(first..first.checked_add(fan_out)?)
    }

    /// Whether the number of entries has left the range that the tree's shape suits.
    ///
    /// A tree grows when its leaves are full, and shrinks when half as many leaves would be half
    /// empty. Between two rebuilds the number of entries changes by a constant fraction.
    #[must_use]
    #[inline]
    pub fn wants_rebuild(&self) -> bool {
        self.suitable_bits() != self.bits
    }

    /// Gives the tree the shape that suits its number of entries; `entries` are all of them.
    pub fn rebuild(&mut self, entries: impl IntoIterator<Item = EntryDigest>) {
        *self = Self::build(self.suitable_bits(), entries);
    }

    fn suitable_bits(&self) -> u8 {
        let least = leaf_bits_for(self.len);
        let most = leaf_bits_for(self.len.saturating_mul(2));
        self.bits.clamp(least, most)
    }
}
