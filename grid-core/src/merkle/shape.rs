//! The shape of a tree: how many bits of the key hash each level takes.

use crate::limits::MAX_ITEMS_PER_MESSAGE;

/// Bits of the key hash that one level adds: a fan-out of 16. The last level adds what is left.
pub const LEVEL_BITS: u8 = 4;
/// Fewest leaf bits of a tree that has leaves.
pub const MIN_LEAF_BITS: u8 = 8;
/// Most leaf bits: 262,144 leaves, 2 MiB.
pub const MAX_LEAF_BITS: u8 = 18;
/// Below this many entries a tree is its root.
pub const SMALL_SET_ENTRIES: usize = 256;
/// Entries that a leaf holds on average when the tree is about to grow.
pub const ENTRIES_PER_LEAF: usize = 16;
/// Most parents in one step of a descent, so that their children fit into one message.
pub const MAX_PARENTS_PER_STEP: usize = MAX_ITEMS_PER_MESSAGE >> LEVEL_BITS;

/// The leaf bits that suit `entries` entries: clamp(⌈log2(entries / 16)⌉, 8, 18), and 0 below
/// [`SMALL_SET_ENTRIES`].
///
/// ```
/// use grid_core::merkle::leaf_bits_for;
///
/// assert_eq!(leaf_bits_for(255), 0);
/// assert_eq!(leaf_bits_for(256), 8);
/// assert_eq!(leaf_bits_for(1_000_000), 16);
/// ```
#[must_use]
pub fn leaf_bits_for(entries: usize) -> u8 {
    if entries < SMALL_SET_ENTRIES {
        return 0;
    }
    (MIN_LEAF_BITS..MAX_LEAF_BITS)
        .find(|bits| entries <= ENTRIES_PER_LEAF << bits)
        .unwrap_or(MAX_LEAF_BITS)
}

/// Whether a tree may have these leaf bits.
pub(super) fn is_leaf_bits(bits: u8) -> bool {
    bits == 0 || (MIN_LEAF_BITS..=MAX_LEAF_BITS).contains(&bits)
}

/// Levels below the root.
pub(super) fn depth(bits: u8) -> u8 {
    bits.div_ceil(LEVEL_BITS)
}

/// Bits of the key hash that name a node of `level`; level 0 is the root.
pub(super) fn width(bits: u8, level: u8) -> u8 {
    bits.min(level.saturating_mul(LEVEL_BITS))
}

/// Nodes of `level`.
pub(super) fn nodes(bits: u8, level: u8) -> usize {
    1 << width(bits, level)
}

/// Children of one node of `level`.
pub(super) fn fan_out(bits: u8, level: u8) -> usize {
    1 << (width(bits, level + 1) - width(bits, level))
}

/// The index at which the path of `key_hash` crosses a level of this width.
#[inline]
pub(super) fn index(key_hash: u64, width: u8) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a width is at most 18 bits"
    )]
    {
        key_hash.checked_shr(64 - u32::from(width)).unwrap_or(0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_bits_follow_the_formula() {
        for entries in (SMALL_SET_ENTRIES..200_000).step_by(13).chain([
            4096,
            4097,
            8192,
            8193,
            65_536,
            65_537,
            4_194_304,
            4_194_305,
            100_000_000,
        ]) {
            let exact = f64::from(u32::try_from(entries).unwrap()) / 16.0;
            let mut expected = 8;
            while f64::from(1_u32 << expected) < exact && expected < 18 {
                expected += 1;
            }
            assert_eq!(leaf_bits_for(entries), expected, "{entries} entries");
        }
        assert_eq!(leaf_bits_for(0), 0);
        assert_eq!(leaf_bits_for(usize::MAX), MAX_LEAF_BITS);
    }

    #[test]
    fn the_last_level_takes_what_is_left() {
        assert_eq!(depth(0), 0);
        assert_eq!(depth(8), 2);
        assert_eq!(depth(18), 5);
        assert_eq!(
            (0..=5).map(|l| width(18, l)).collect::<Vec<_>>(),
            [0, 4, 8, 12, 16, 18]
        );
        assert_eq!(
            (0..5).map(|l| fan_out(18, l)).collect::<Vec<_>>(),
            [16, 16, 16, 16, 4]
        );
        assert_eq!(nodes(18, 5), 1 << 18);
    }

    #[test]
    fn a_path_is_the_top_of_the_hash() {
        let hash = 0xABCD_EF01_2345_6789;
        assert_eq!(index(hash, 0), 0);
        assert_eq!(index(hash, 4), 0xA);
        assert_eq!(index(hash, 8), 0xAB);
        assert_eq!(index(hash, 18), 0x000A_BCDE >> 2);
        assert_eq!(index(u64::MAX, 18), (1 << 18) - 1);
    }
}
