//! Which records share a block with the end of the segment.

use std::collections::VecDeque;

/// The largest unit in which devices write that has to be reckoned with, in bytes.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// The start of the block that holds the byte at `offset`.
fn block_start(offset: u64) -> u64 {
    offset - offset % BLOCK_BYTES
}

/// The first block boundary at or after `offset`.
pub(super) fn block_end(offset: u64) -> u64 {
    offset.next_multiple_of(BLOCK_BYTES)
}

/// The records that reach into the block in which something begins: a write that fails there may
/// take them along.
#[derive(Debug, Clone, Default)]
pub(super) struct TailBlock {
    /// Start and end of each.
    records: VecDeque<(u64, u64)>,
}

impl TailBlock {
    /// A record was written.
    pub(super) fn push(&mut self, start: u64, end: u64) {
        self.records.push_back((start, end));
    }

    /// What follows begins at `offset`: forgets the records that end before its block.
    pub(super) fn begin(&mut self, offset: u64) {
        let from = block_start(offset);
        while self.records.front().is_some_and(|(_, end)| *end <= from) {
            self.records.pop_front();
        }
    }

    /// Where the first of the records begins.
    pub(super) fn start(&self) -> Option<u64> {
        self.records.front().map(|(start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_before_the_block_are_forgotten() {
        let mut tail = TailBlock::default();
        tail.push(4096, 5000);
        tail.push(5000, 8192);
        tail.push(8192, 8200);
        tail.begin(8191);
        assert_eq!(tail.start(), Some(4096));
        tail.begin(8200);
        assert_eq!(
            tail.start(),
            Some(8192),
            "one that ends at the boundary is out"
        );
        tail.push(8200, 20_000);
        tail.begin(20_000);
        assert_eq!(
            tail.start(),
            Some(8200),
            "one that reaches into the block is in"
        );
        tail.begin(20_480);
        assert_eq!(tail.start(), None);
    }
}
