//! Who wants to follow partitions that are still to be loaded, as when the database is away or
//! while they are taken over.

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grid_core::protocol::Selector;
    use grid_core::{History, MapAddress, MapName, Namespace};

    use super::*;
    use crate::sessions::Session;

    const HERE: PartitionId = PartitionId(3);
    const THERE: PartitionId = PartitionId(4);

    fn work(session: &Arc<Session>, view: u64) -> SubscribeWork {
        let merge = session.outgoing().begin_merge(ViewId(view), History(1), 2);
        SubscribeWork {
            session: session.clone(),
            view: ViewId(view),
            merge,
            address: MapAddress {
                namespace: Namespace::default(),
                map: MapName::new("m").unwrap(),
            },
            selector: Selector::All,
            history: History(1),
            partitions: vec![(HERE, None), (THERE, Some(Sequence(7)))],
        }
    }

    #[test]
    fn who_waits_is_told_of_each_partition_once_unless_it_has_gone() {
        let (stays, leaves) = (Session::for_tests(), Session::for_tests());
        let mut expected = Expected::default();
        for (session, view) in [(&stays, 1), (&stays, 2), (&leaves, 1), (&stays, 1)] {
            let work = work(session, view);
            for (partition, cursor) in &work.partitions {
                expected.add(*partition, *cursor, &work);
            }
        }
        expected.leave(leaves.id());
        assert_eq!(Arc::strong_count(&leaves), 1, "nothing keeps it");
        expected.unfollow(stays.id(), ViewId(2));
        let taken = expected.take(THERE);
        assert_eq!(taken.len(), 1, "to ask twice is to ask anew");
        assert_eq!(taken[0].session.id(), stays.id());
        assert_eq!(taken[0].view, ViewId(1));
        assert_eq!(taken[0].partitions, [(THERE, Some(Sequence(7)))]);
        assert_eq!(expected.take(THERE).len(), 0);
        assert_eq!(expected.take(HERE)[0].partitions, [(HERE, None)]);
    }
}
