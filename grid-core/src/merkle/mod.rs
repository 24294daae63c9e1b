//! Merkle trees over the live entries of one map in one partition, and the comparison of two.
//!
//! A server keeps a [`MerkleTree`] and answers with [`answer_nodes`] and [`answer_leaves`]; a
//! client keeps only a root and runs a [`Descent`] when its root differs. Nothing here sends
//! anything.
//!
//! Nodes are wrapping sums of digests, so a change costs one addition a level, and the roots of
//! disjoint sets add up to the root of their union.

mod answer;
mod descent;
mod shape;
mod tree;

pub use answer::{Answer, LeafListing, answer_leaves, answer_nodes};
pub use descent::{Descent, Difference, Progress};
pub use shape::{
    ENTRIES_PER_LEAF, LEVEL_BITS, MAX_LEAF_BITS, MAX_PARENTS_PER_STEP, MIN_LEAF_BITS,
    SMALL_SET_ENTRIES, leaf_bits_for,
};
pub use tree::MerkleTree;
