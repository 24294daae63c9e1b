//! Gathering the answers of all partitions of a view into as few messages as can be.

use std::collections::BTreeMap;

use grid_core::protocol::{CaughtUp, ViewId};
use grid_core::{History, PartitionId, Sequence};

/// What one partition says when it has nothing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    /// Where the partition stands.
    pub(crate) sequence: Sequence,
    /// The root of the view's entries in it.
    pub(crate) root: u128,
    /// Whether the cursor was of no use.
    pub(crate) reset: bool,
    /// Whether the client named a cursor, and nothing changed since.
    pub(crate) stated: bool,
}

/// Answers of a view's partitions that wait for those of the others.
#[derive(Debug)]
pub(crate) struct Merge {
    view: ViewId,
    history: History,
    waiting: usize,
    levels: BTreeMap<PartitionId, Level>,
    /// Whether every partition so far is where the client said, so that none need be named.
    unnamed: bool,
}

impl Merge {
    /// Waits for the answers of `partitions` partitions.
    pub(crate) fn new(view: ViewId, history: History, partitions: usize) -> Self {
        Self {
            view,
            history,
            waiting: partitions,
            levels: BTreeMap::new(),
            unnamed: true,
        }
    }

    /// Whether all answers are in.
    pub(crate) fn is_complete(&self) -> bool {
        self.waiting == 0
    }

    /// A partition is level with the client.
    pub(crate) fn level(&mut self, partition: PartitionId, level: Level) {
        self.waiting = self.waiting.saturating_sub(1);
        self.unnamed &= level.stated;
        self.levels.insert(partition, level);
    }

    /// A partition sends deltas instead.
    pub(crate) fn streams(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        self.unnamed = false;
    }

    /// The answer of one partition, which cannot wait: an event of it follows.
    pub(crate) fn take(&mut self, partition: PartitionId) -> Option<CaughtUp> {
        let level = self.levels.remove(&partition)?;
        self.unnamed = false;
        Some(self.message(vec![(partition, level.sequence)], level.root, level.reset))
    }

    /// The answers that are left, in one message for those whose cursor was of use and one for the
    /// others.
    pub(crate) fn finish(self) -> Vec<CaughtUp> {
        let mut messages = Vec::new();
        for reset in [false, true] {
            let mut cursor = Vec::new();
            let mut root = 0u128;
            for (partition, level) in &self.levels {
                if level.reset == reset {
                    cursor.push((*partition, level.sequence));
                    root = root.wrapping_add(level.root);
                }
            }
            if cursor.is_empty() {
                continue;
            }
            if self.unnamed {
                cursor.clear();
            }
            messages.push(self.message(cursor, root, reset));
        }
        messages
    }

    fn message(&self, cursor: Vec<(PartitionId, Sequence)>, root: u128, reset: bool) -> CaughtUp {
        CaughtUp {
            view: self.view,
            history: self.history,
            cursor,
            root,
            reset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(sequence: u64, root: u128) -> Level {
        Level {
            sequence: Sequence(sequence),
            root,
            reset: false,
            stated: true,
        }
    }

    fn merge(partitions: usize) -> Merge {
        Merge::new(ViewId(4), History(9), partitions)
    }

    #[test]
    fn partitions_that_stand_where_the_client_said_are_not_named() {
        let mut merge = merge(2);
        merge.level(PartitionId(1), level(5, 10));
        assert!(!merge.is_complete());
        merge.level(PartitionId(2), level(6, u128::MAX));
        assert!(merge.is_complete());
        let [message] = &merge.finish()[..] else {
            panic!("one message");
        };
        assert_eq!(message.cursor, []);
        assert_eq!(message.root, 9);
        assert!(!message.reset);
    }

    #[test]
    fn an_answer_that_cannot_wait_goes_alone_and_the_others_are_named() {
        let mut merge = merge(3);
        merge.level(PartitionId(1), level(5, 10));
        let alone = merge.take(PartitionId(1)).unwrap();
        assert_eq!(
            (alone.cursor, alone.root),
            (vec![(PartitionId(1), Sequence(5))], 10)
        );
        assert_eq!(merge.take(PartitionId(1)), None, "once");
        merge.level(PartitionId(2), level(6, 20));
        merge.streams();
        assert!(merge.is_complete());
        let [message] = &merge.finish()[..] else {
            panic!("one message");
        };
        assert_eq!(message.cursor, [(PartitionId(2), Sequence(6))]);
        assert_eq!(message.root, 20);
    }

    #[test]
    fn a_cursor_that_was_of_no_use_is_told_apart() {
        let mut merge = merge(2);
        merge.level(PartitionId(1), level(5, 10));
        merge.level(
            PartitionId(2),
            Level {
                reset: true,
                stated: false,
                ..level(6, 20)
            },
        );
        let told: Vec<_> = merge
            .finish()
            .into_iter()
            .map(|message| (message.cursor, message.root, message.reset))
            .collect();
        assert_eq!(
            told,
            [
                (vec![(PartitionId(1), Sequence(5))], 10, false),
                (vec![(PartitionId(2), Sequence(6))], 20, true),
            ]
        );
    }

    #[test]
    fn nothing_is_said_when_every_partition_sends_deltas() {
        let mut merge = merge(1);
        merge.streams();
        assert!(merge.is_complete());
        assert_eq!(merge.finish(), []);
    }
}
