//! Telling the subscribers of views what a batch changed.

use std::sync::Arc;

use bytes::Bytes;
use grid_core::codec::{fitting, record_bound};
use grid_core::partition::{Partition, View, ViewChange};
use grid_core::protocol::{Delta, DeltaMode, Message, ViewId};
use grid_core::{PartitionId, Record, Result, Sequence};

use super::subscribers::{Followed, Subscribers};
use crate::partition_service::Committed;
use crate::sessions::{Codecs, Encoded, Session};

/// What a delta says beside its records.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeltaHead {
    pub(super) view: ViewId,
    pub(super) partition: PartitionId,
    pub(super) mode: DeltaMode,
    pub(super) from: Sequence,
    pub(super) to: Sequence,
    pub(super) root: u128,
}

impl DeltaHead {
    /// A delta without records, which moves a client's cursor.
    pub(super) fn empty(view_id: ViewId, partition: &Partition, view: &View) -> Self {
        Self {
            view: view_id,
            partition: partition.id(),
            mode: DeltaMode::Changes,
            from: view.last(),
            to: partition.sequence(),
            root: view.root(),
        }
    }

    /// One delta; `root` only on the last of several.
    pub(super) fn delta(self, continued: bool, last: bool, records: Vec<Record>) -> Message {
        Message::Delta(Delta {
            view: self.view,
            partition: self.partition,
            mode: self.mode,
            continued,
            from: self.from,
            to: self.to,
            records,
            root: last.then_some(self.root),
        })
    }

    /// The records as deltas of which each fits into a frame.
    fn split(self, records: Vec<Record>) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut records = records.into_iter();
        let mut continued = false;
        loop {
            let count = fitting(records.as_slice().iter().map(record_bound));
            let part: Vec<Record> = records.by_ref().take(count).collect();
            let last = records.as_slice().is_empty();
            messages.push(self.delta(continued, last, part));
            if last {
                return messages;
            }
            continued = true;
        }
    }
}

/// Tells the subscribers of a partition's views what was committed.
pub(crate) fn fan_out(
    worker: usize,
    subscribers: &mut Subscribers,
    partition: &Partition,
    committed: &Committed,
    codecs: &Codecs,
) {
    for (id, followed) in subscribers.of_partition(partition.id()) {
        let change = followed
            .view
            .advance(partition, &committed.effects, &committed.applied);
        if let Some(change) = change {
            tell(worker, *id, followed, partition, &change, codecs);
        }
    }
}

fn tell(
    worker: usize,
    id: ViewId,
    followed: &mut Followed,
    partition: &Partition,
    change: &ViewChange<'_>,
    codecs: &Codecs,
) {
    let mut event: Option<Encoded> = None;
    let subscribers = followed.subscribers.values_mut();
    for subscriber in subscribers.filter(|each| each.is_live()) {
        let event = event.get_or_insert_with(|| {
            let head = DeltaHead {
                view: id,
                partition: partition.id(),
                mode: DeltaMode::Changes,
                from: change.from,
                to: change.to,
                root: change.root,
            };
            let records = change.records.iter().map(|each| (*each).clone()).collect();
            Encoded::new(codecs, head.split(records))
        });
        let frames = event.frames(subscriber.session.codec());
        if send(worker, &subscriber.session, id, partition.id(), frames) {
            subscriber.cursor = change.to;
        } else {
            subscriber.fall_behind();
        }
    }
}

/// Queues frames for a subscriber, if there is room.
pub(super) fn send(
    worker: usize,
    session: &Session,
    view: ViewId,
    partition: PartitionId,
    frames: Result<Arc<[Bytes]>>,
) -> bool {
    let queued =
        frames.and_then(|frames| session.outgoing().event(worker, view, partition, &frames));
    session.check(queued)
}
