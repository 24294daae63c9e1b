//! How one map follows the server on the present connection.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::{Key, PartitionId};
use crate::merkle::Descent;
use crate::protocol::{DeltaMode, ViewId};
use crate::record::Sequence;

/// The stage of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Follow {
    #[default]
    No,
    Requested,
    Live(ViewId),
    Refused,
}

/// A delta of which more frames are to come.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) mode: DeltaMode,
    pub(super) from: Sequence,
    /// Changes up to here are known already.
    pub(super) known: Sequence,
    /// In a snapshot: what is held and was not in it so far.
    pub(super) unseen: BTreeSet<Key>,
}

/// The repair of one partition.
#[derive(Debug)]
pub(super) struct Repair {
    pub(super) stage: RepairStage,
    /// How many repairs of this partition failed before.
    pub(super) failures: u32,
}

#[derive(Debug)]
pub(super) enum RepairStage {
    /// Looking for what differs.
    Descending(Box<Descent>),
    /// Records were asked for in `answers` messages; these key hashes are to go afterwards.
    Fetching {
        answers: usize,
        remove: Vec<(u64, u64)>,
    },
    /// Everything was asked for.
    Snapshot,
}

/// What is kept of a view while the connection lasts.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) follow: Follow,
    /// Partitions of which nothing was heard since the subscription.
    pub(super) unanswered: BTreeSet<PartitionId>,
    /// Deltas in progress. The records of a repair may arrive between changes.
    pub(super) progress: BTreeMap<(PartitionId, bool), Progress>,
    pub(super) repairs: BTreeMap<PartitionId, Repair>,
    /// What the application was told last.
    pub(super) told_synced: bool,
}

/// Where the progress of a delta is kept.
pub(super) fn progress_key(partition: PartitionId, mode: DeltaMode) -> (PartitionId, bool) {
    (partition, mode == DeltaMode::Repair)
}

impl View {
    /// Whether the view is, or is about to be, followed.
    pub(super) fn is_followed(&self) -> bool {
        matches!(self.follow, Follow::Requested | Follow::Live(_))
    }

    /// Whether the server has said on this connection how `partition` stands.
    pub(super) fn is_answered(&self, partition: PartitionId) -> bool {
        matches!(self.follow, Follow::Live(_)) && !self.unanswered.contains(&partition)
    }

    pub(super) fn is_repairing(&self, partition: PartitionId) -> bool {
        self.repairs.contains_key(&partition)
    }

    /// Whether everything that the server had to tell has arrived and agrees.
    pub(super) fn is_synced(&self) -> bool {
        matches!(self.follow, Follow::Live(_))
            && self.unanswered.is_empty()
            && self.repairs.is_empty()
    }

    pub(super) fn id(&self) -> Option<ViewId> {
        match self.follow {
            Follow::Live(view) => Some(view),
            _ => None,
        }
    }
}
