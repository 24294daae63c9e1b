//! A set of as many small numbers as a filter may have parts.

use crate::limits::MAX_FILTER_PARTS;

const WORDS: usize = MAX_FILTER_PARTS / 64;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bits([u64; WORDS]);

impl Bits {
    #[inline]
    pub(super) fn get(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    #[inline]
    pub(super) fn set(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }
}
