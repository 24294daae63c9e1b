//! Who goes on next of those that have more to get.

use std::collections::BTreeSet;
use std::ops::Bound;

use grid_core::PartitionId;
use grid_core::protocol::ViewId;

use crate::sessions::SessionId;

/// One who follows a partition of a view.
pub(super) type Follower = (SessionId, PartitionId, ViewId);

/// Followers that take turns, each of them once a round.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: BTreeSet<Follower>,
    last: Option<Follower>,
}

impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn add(&mut self, follower: Follower) {
        self.waiting.insert(follower);
    }

    /// Takes out the one whose turn it is.
    pub(super) fn next(&mut self) -> Option<Follower> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = self.waiting.range((after, Bound::Unbounded));
        let next = behind.next().or_else(|| self.waiting.first()).copied()?;
        self.waiting.remove(&next);
        self.last = Some(next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_always_has_more_does_not_keep_others_back() {
        let follower = |session| (session, PartitionId(1), ViewId(1));
        let mut turns = Turns::default();
        for session in [1, 2, 3] {
            turns.add(follower(session));
        }
        let mut served = Vec::new();
        for _ in 0..6 {
            let next = turns.next().unwrap();
            served.push(next.0);
            turns.add(next);
            turns.add(next);
        }
        assert_eq!(served, [1, 2, 3, 1, 2, 3]);
        while turns.next().is_some() {}
        assert!(turns.is_empty());
    }
}
