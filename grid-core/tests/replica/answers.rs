//! What the server of the tests sends to bring a subscriber level.

use grid_core::merkle::Answer;
use grid_core::partition::{Budget, CatchUp, Partition, View};
use grid_core::protocol::{CaughtUp, Delta, DeltaMode, Message, RepairLeaves, RepairNodes, ViewId};
use grid_core::{History, PartitionId, Record, Sequence};

/// So few that deltas have several frames.
const RECORDS_PER_DELTA: usize = 3;
pub(crate) const EVERYTHING: Budget = Budget {
    records: usize::MAX,
    bytes: usize::MAX,
};

pub(crate) fn answered(
    partition: &Partition,
    state: &View,
    view: ViewId,
    answer: Answer,
    level: u8,
    parents: &[u32],
) -> Vec<Message> {
    match answer {
        Answer::Nodes { bits, sums } => vec![Message::RepairNodes(RepairNodes {
            view,
            partition: partition.id(),
            bits,
            level,
            parents: parents.to_vec(),
            sums,
        })],
        Answer::Leaves(listings) => listings
            .into_iter()
            .map(|listing| {
                Message::RepairLeaves(RepairLeaves {
                    view,
                    partition: partition.id(),
                    bits: listing.bits,
                    leaves: listing.leaves,
                    entries: listing.entries,
                })
            })
            .collect(),
        Answer::Snapshot => snapshot(partition, state, view),
    }
}

pub(crate) fn snapshot(partition: &Partition, state: &View, view: ViewId) -> Vec<Message> {
    changes(partition, state, view, Sequence::ZERO, DeltaMode::Snapshot)
}

pub(crate) fn changes(
    partition: &Partition,
    state: &View,
    view: ViewId,
    from: Sequence,
    mode: DeltaMode,
) -> Vec<Message> {
    let tombstones_after = match mode {
        DeltaMode::Snapshot => partition.sequence(),
        _ => from,
    };
    let (map, selector) = (state.address(), state.selector());
    let found = partition.changes(map, selector, from, tombstones_after, EVERYTHING);
    let head = Head {
        view,
        partition: partition.id(),
        mode,
        from,
        to: found.through,
        root: state.root(),
    };
    head.split(found.records)
}

/// Whether the subscriber stands where it said it does, and what to tell it.
pub(crate) fn catch_up(
    partition: &Partition,
    state: &View,
    view: ViewId,
    history: History,
    cursor: Option<Sequence>,
) -> (bool, Vec<Message>) {
    let level = |reset| {
        Message::CaughtUp(CaughtUp {
            view,
            history: partition.history(),
            cursor: vec![(partition.id(), partition.sequence())],
            root: state.root(),
            reset,
        })
    };
    match partition.catch_up(history, cursor) {
        CatchUp::Reset => (false, vec![level(true)]),
        CatchUp::Changes(from) if state.last() <= from => (true, vec![level(false)]),
        CatchUp::Changes(from) => {
            let messages = changes(partition, state, view, from, DeltaMode::Changes);
            (false, messages)
        }
        CatchUp::Snapshot => (false, snapshot(partition, state, view)),
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) view: ViewId,
    pub(crate) partition: PartitionId,
    pub(crate) mode: DeltaMode,
    pub(crate) from: Sequence,
    pub(crate) to: Sequence,
    pub(crate) root: u128,
}

impl Head {
    pub(crate) fn split(self, records: Vec<Record>) -> Vec<Message> {
        let parts = records.len().div_ceil(RECORDS_PER_DELTA).max(1);
        let mut records = records.into_iter();
        (1..=parts)
            .map(|part| {
                Message::Delta(Delta {
                    view: self.view,
                    partition: self.partition,
                    mode: self.mode,
                    continued: part > 1,
                    from: self.from,
                    to: self.to,
                    records: records.by_ref().take(RECORDS_PER_DELTA).collect(),
                    root: (part == parts).then_some(self.root),
                })
            })
            .collect()
    }
}
