//! Who follows which view of a worker's partitions, and how far each of them is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use grid_core::op::RunId;
use grid_core::partition::{Place, View};
use grid_core::protocol::{RepairStep, ViewId};
use grid_core::{PartitionId, Sequence};

use crate::sessions::{Owed, Session, SessionId};

/// A partition of a view, and those who follow it.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) view: View,
    pub(super) subscribers: BTreeMap<SessionId, Subscriber>,
}

/// One who follows a partition of a view.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) session: Arc<Session>,
    /// The cursor that the client has at least, once it has read what was queued.
    pub(super) cursor: Sequence,
    /// What has to be sent, in order, as room allows.
    pub(super) jobs: VecDeque<Job>,
}

/// Something that may be too long to be sent at once.
#[derive(Debug)]
pub(super) enum Job {
    /// Everything that changed, up to now. While it lasts, events are not sent: it finds them.
    Stream(Stream),
    /// The answer to a step of a comparison.
    Answer(RepairStep, Owed),
    /// Records that a comparison asked for.
    Fetch {
        places: VecDeque<Place>,
        /// Whether a part of them was sent.
        begun: bool,
        owed: Owed,
    },
}

/// Changes or a snapshot, in the making.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    /// Whether the client drops what it does not find in it.
    pub(super) snapshot: bool,
    /// The cursor that it follows on.
    pub(super) from: Sequence,
    /// How far it is.
    pub(super) at: Sequence,
    /// Tombstones up to here are of no interest.
    pub(super) tombstones_after: Sequence,
    /// Whether a part of it was sent.
    pub(super) begun: bool,
}

impl Stream {
    /// What changed after `cursor`.
    pub(super) fn changes(cursor: Sequence) -> Self {
        Self {
            snapshot: false,
            from: cursor,
            at: cursor,
            tombstones_after: Sequence::ZERO,
            begun: false,
        }
    }

    /// All live entries, as of a partition's sequence `now`.
    pub(super) fn snapshot(now: Sequence) -> Self {
        Self {
            snapshot: true,
            from: Sequence::ZERO,
            at: Sequence::ZERO,
            tombstones_after: now,
            begun: false,
        }
    }
}

impl Subscriber {
    /// Whether events are to be sent as they happen.
    pub(super) fn is_live(&self) -> bool {
        !self.jobs.iter().any(|job| matches!(job, Job::Stream(_)))
    }

    /// An event could not be queued: the client is caught up from its cursor before anything else.
    pub(super) fn fall_behind(&mut self) {
        self.jobs
            .push_front(Job::Stream(Stream::changes(self.cursor)));
    }
}

/// What a worker knows of a connection.
#[derive(Debug, Default)]
struct Known {
    /// From which op on each run has to come again, after a refusal.
    refused: BTreeMap<RunId, u64>,
    follows: BTreeSet<(PartitionId, ViewId)>,
}

/// The subscribers of a worker, shared with the layer that tells them what changed. Both belong to
/// the worker's task, so that nobody ever waits for the lock.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedSubscribers(Arc<Mutex<Subscribers>>);

impl SharedSubscribers {
    #[expect(
        clippy::expect_used,
        reason = "a panic in the middle of a change leaves a state that must not be served"
    )]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.0
            .lock()
            .expect("no change of the subscribers panicked")
    }
}

/// All subscribers of a worker.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    followed: BTreeMap<PartitionId, BTreeMap<ViewId, Followed>>,
    known: BTreeMap<SessionId, Known>,
}

impl Subscribers {
    /// The views of a partition.
    pub(super) fn of_partition(
        &mut self,
        partition: PartitionId,
    ) -> impl Iterator<Item = (&ViewId, &mut Followed)> {
        self.followed
            .get_mut(&partition)
            .into_iter()
            .flat_map(BTreeMap::iter_mut)
    }

    /// One partition of a view.
    pub(super) fn get(&mut self, partition: PartitionId, view: ViewId) -> Option<&mut Followed> {
        self.followed.get_mut(&partition)?.get_mut(&view)
    }

    /// Adds a subscriber; who follows the view already starts anew.
    pub(super) fn follow(
        &mut self,
        partition: PartitionId,
        id: ViewId,
        view: impl FnOnce() -> View,
        subscriber: Subscriber,
    ) -> &mut Followed {
        let session = subscriber.session.id();
        let known = self.known.entry(session).or_default();
        known.follows.insert((partition, id));
        let followed = self
            .followed
            .entry(partition)
            .or_default()
            .entry(id)
            .or_insert_with(|| Followed {
                view: view(),
                subscribers: BTreeMap::new(),
            });
        followed.subscribers.insert(session, subscriber);
        followed
    }

    /// The partitions of views that a connection follows.
    pub(super) fn followed_by(&self, session: SessionId) -> Vec<(PartitionId, ViewId)> {
        self.known
            .get(&session)
            .map(|known| known.follows.iter().copied().collect())
            .unwrap_or_default()
    }

    /// The views of a partition that a connection follows.
    pub(super) fn followed_in(&self, session: SessionId, partition: PartitionId) -> Vec<ViewId> {
        self.known.get(&session).map_or_else(Vec::new, |known| {
            let follows = known.follows.range((partition, ViewId(0))..);
            follows
                .take_while(|(of, _)| *of == partition)
                .map(|(_, view)| *view)
                .collect()
        })
    }

    /// Removes a subscriber of a view.
    pub(super) fn unfollow(&mut self, session: SessionId, view: ViewId) {
        let Some(known) = self.known.get_mut(&session) else {
            return;
        };
        let partitions: Vec<PartitionId> = known
            .follows
            .extract_if(.., |(_, followed)| *followed == view)
            .map(|(partition, _)| partition)
            .collect();
        for partition in partitions {
            self.remove(session, partition, view);
        }
    }

    /// Forgets a connection.
    pub(super) fn leave(&mut self, session: SessionId) {
        let follows = self.known.remove(&session).unwrap_or_default().follows;
        for (partition, view) in follows {
            self.remove(session, partition, view);
        }
    }

    /// Forgets a partition; returns the connections that followed it.
    pub(super) fn forget(&mut self, partition: PartitionId) -> Vec<Arc<Session>> {
        let views = self.followed.remove(&partition).unwrap_or_default();
        let mut sessions = BTreeMap::new();
        for (view, followed) in views {
            for (id, subscriber) in followed.subscribers {
                if let Some(known) = self.known.get_mut(&id) {
                    known.follows.remove(&(partition, view));
                }
                sessions.insert(id, subscriber.session);
            }
        }
        sessions.into_values().collect()
    }

    fn remove(&mut self, session: SessionId, partition: PartitionId, view: ViewId) {
        let Some(views) = self.followed.get_mut(&partition) else {
            return;
        };
        if let Some(followed) = views.get_mut(&view) {
            followed.subscribers.remove(&session);
            if followed.subscribers.is_empty() {
                views.remove(&view);
            }
        }
        if views.is_empty() {
            self.followed.remove(&partition);
        }
    }

    /// Whether a push of `run` whose first op is `first` may be taken: after a refusal only one
    /// that comes back to the op that was refused, so that each partition sees a run's ops in
    /// order.
    pub(super) fn admits(&mut self, session: SessionId, run: RunId, first: u64) -> bool {
        let Some(known) = self.known.get_mut(&session) else {
            return true;
        };
        match known.refused.get(&run) {
            Some(from) if first > *from => false,
            Some(_) => {
                known.refused.remove(&run);
                true
            }
            None => true,
        }
    }

    /// Nothing more of this run comes over the connection.
    pub(super) fn forget_run(&mut self, session: SessionId, run: RunId) {
        if let Some(known) = self.known.get_mut(&session) {
            known.refused.remove(&run);
        }
    }

    /// A run was refused from op `from` on.
    pub(super) fn refuse(&mut self, session: SessionId, run: RunId, from: u64) {
        let known = self.known.entry(session).or_default();
        known
            .refused
            .entry(run)
            .and_modify(|lowest| *lowest = from.min(*lowest))
            .or_insert(from);
    }
}

#[cfg(test)]
impl Subscribers {
    /// A connection follows all of a map's entries in one partition.
    pub(crate) fn follow_all(
        &mut self,
        session: &Arc<Session>,
        partition: &grid_core::partition::Partition,
        address: &grid_core::MapAddress,
    ) {
        use grid_core::protocol::Selector;

        let subscriber = Subscriber {
            session: session.clone(),
            cursor: partition.sequence(),
            jobs: VecDeque::new(),
        };
        let open = || partition.open_view(address, &Selector::All);
        self.follow(partition.id(), ViewId(1), open, subscriber);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_comes_again_from_the_lowest_op_that_was_refused() {
        let (session, run) = (1, RunId(7));
        let mut subscribers = Subscribers::default();
        assert!(subscribers.admits(session, run, 9));
        subscribers.refuse(session, run, 5);
        subscribers.refuse(session, run, 8);
        assert!(!subscribers.admits(session, run, 6));
        assert!(subscribers.admits(session, RunId(8), 6), "another run");
        assert!(subscribers.admits(2, run, 6), "another connection");
        assert!(subscribers.admits(session, run, 5));
        assert!(subscribers.admits(session, run, 6), "it came again");
    }
}
