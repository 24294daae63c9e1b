//! Who wants to follow partitions that are still to be loaded, as when the database is away.

use std::collections::BTreeMap;

use grid_core::protocol::ViewId;
use grid_core::{PartitionId, Sequence};

use super::message::SubscribeWork;
use crate::sessions::SessionId;

/// Who waits for a partition, each once for each of its views, of which a connection has only so
/// many.
type Waiting = BTreeMap<(SessionId, ViewId), SubscribeWork>;

/// Those who wait, by partition.
#[derive(Debug, Default)]
pub(super) struct Expected(BTreeMap<PartitionId, Waiting>);

impl Expected {
    /// A client that stands at `cursor` waits for this partition of `work`.
    pub(super) fn add(
        &mut self,
        partition: PartitionId,
        cursor: Option<Sequence>,
        work: &SubscribeWork,
    ) {
        let work = SubscribeWork {
            session: work.session.clone(),
            address: work.address.clone(),
            selector: work.selector.clone(),
            partitions: vec![(partition, cursor)],
            ..*work
        };
        let waiting = self.0.entry(partition).or_default();
        waiting.insert((work.session.id(), work.view), work);
    }

    /// The partition is there.
    pub(super) fn take(&mut self, partition: PartitionId) -> Vec<SubscribeWork> {
        let waiting = self.0.remove(&partition).unwrap_or_default();
        waiting.into_values().collect()
    }

    /// A connection does not follow a view any more.
    pub(super) fn unfollow(&mut self, session: SessionId, view: ViewId) {
        self.0.retain(|_, waiting| {
            waiting.remove(&(session, view));
            !waiting.is_empty()
        });
    }

    /// A connection is gone.
    pub(super) fn leave(&mut self, session: SessionId) {
        self.0.retain(|_, waiting| {
            waiting.retain(|(each, _), _| *each != session);
            !waiting.is_empty()
        });
    }
}
