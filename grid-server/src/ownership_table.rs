//! What this node owns, as the ownership table last told, and what it serves of that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grid_core::traits::{Epoch, Owner, Ownership};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use tokio::sync::Notify;

/// The epochs at which this node owns and serves partitions.
#[derive(Debug)]
pub(crate) struct OwnershipTable {
    node: String,
    /// 0 where a partition is not served here; read on every batch, so without a lock.
    serving: Box<[AtomicU64]>,
    /// What is known of each partition's owner. `serving` changes only under this lock.
    known: Mutex<Box<[Known]>>,
    /// Rings when there may be something to take over.
    wanted: Notify,
}

/// The latest owner that this node has heard of.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    epoch: u64,
    mine: bool,
}

impl Known {
    fn is_wanted(&self, serving: &AtomicU64) -> bool {
        self.mine && serving.load(Ordering::Acquire) != self.epoch
    }
}

impl OwnershipTable {
    pub(crate) fn new(node: String, partitions: u16) -> Self {
        Self {
            node,
            serving: (0..partitions).map(|_| AtomicU64::new(0)).collect(),
            known: Mutex::new(vec![Known::default(); partitions.into()].into()),
            wanted: Notify::new(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Box<[Known]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch at which this node serves `partition`.
    pub(crate) fn epoch(&self, partition: PartitionId) -> Option<Epoch> {
        let epoch = self.serving.get(usize::from(partition.0))?;
        match epoch.load(Ordering::Acquire) {
            0 => None,
            epoch => Some(Epoch(epoch)),
        }
    }

    /// Takes note of an owner. Returns the epoch of the ownership that ends for this node with it,
    /// be the partition served or still to be loaded; what it owns now it serves once that is
    /// loaded.
    pub(crate) fn changed(&self, partition: PartitionId, owner: &Owner) -> Option<Epoch> {
        let now = Known {
            epoch: owner.epoch.0,
            mine: owner.node == self.node,
        };
        self.learn(partition, now)
    }

    /// Takes note that the journal holds batches of a later owner, of whom the ownership table has
    /// not told yet.
    pub(crate) fn outdone(&self, partition: PartitionId, epoch: Epoch) {
        let now = Known {
            epoch: epoch.0,
            mine: false,
        };
        self.learn(partition, now);
    }

    fn learn(&self, partition: PartitionId, now: Known) -> Option<Epoch> {
        let index = usize::from(partition.0);
        let mut all = self.known();
        let (known, serving) = (all.get_mut(index)?, self.serving.get(index)?);
        let served = serving.load(Ordering::Acquire);
        // News may be older than what was found out otherwise.
        if now.epoch < known.epoch || (now.mine && now.epoch == served) {
            return None;
        }
        let before = std::mem::replace(known, now);
        serving.store(0, Ordering::Release);
        drop(all);
        if now.mine {
            self.wanted.notify_one();
        }
        match served {
            // Some may wait for what it does not get any more.
            0 => (before.mine && !now.mine).then_some(Epoch(before.epoch)),
            served => Some(Epoch(served)),
        }
    }

    /// Serves `partition` from now on, unless it has got another owner since `epoch`; returns
    /// whether it does.
    pub(crate) fn serve(&self, partition: PartitionId, epoch: Epoch) -> bool {
        let index = usize::from(partition.0);
        let all = self.known();
        if let (Some(known), Some(serving)) = (all.get(index), self.serving.get(index))
            && known.mine
            && known.epoch == epoch.0
        {
            serving.store(epoch.0, Ordering::Release);
            return true;
        }
        false
    }

    /// Serves `partition` at `epoch` no longer. As long as this node counts as its owner it is to
    /// be loaded anew.
    pub(crate) fn cease(&self, partition: PartitionId, epoch: Epoch) {
        let all = self.known();
        if let Some(serving) = self.serving.get(usize::from(partition.0))
            && serving.load(Ordering::Acquire) == epoch.0
        {
            serving.store(0, Ordering::Release);
        }
        drop(all);
        self.wanted.notify_one();
    }

    /// What this node owns and does not serve.
    pub(crate) fn wanted(&self) -> Vec<(PartitionId, Epoch)> {
        let all = self.known();
        let each = (0..).map(PartitionId).zip(all.iter().zip(&self.serving));
        let missing = each.filter(|(_, (known, serving))| known.is_wanted(serving));
        missing
            .map(|(partition, (known, _))| (partition, Epoch(known.epoch)))
            .collect()
    }

    /// Whether this node owns `partition` and does not serve it.
    pub(crate) fn is_wanted(&self, partition: PartitionId) -> bool {
        let index = usize::from(partition.0);
        let all = self.known();
        let both = all.get(index).zip(self.serving.get(index));
        both.is_some_and(|(known, serving)| known.is_wanted(serving))
    }

    /// Whether this node owns `partition`, be it served or still to be loaded.
    pub(crate) fn is_owned(&self, partition: PartitionId) -> bool {
        let all = self.known();
        let known = all.get(usize::from(partition.0));
        known.is_some_and(|known| known.mine)
    }

    /// Completes when there may be something to take over that was not there before.
    pub(crate) async fn wants(&self) {
        self.wanted.notified().await;
    }

    /// Makes this node the owner of `partition`, at an epoch after `written`, the highest that its
    /// journal has seen; none when another node owns it.
    ///
    /// # Errors
    /// `Unavailable` when the table cannot be reached.
    pub(crate) async fn acquire(
        &self,
        ownership: &Arc<dyn Ownership>,
        partition: PartitionId,
        written: Epoch,
    ) -> Result<Option<Epoch>> {
        let before = ownership.owner(partition).await?;
        if before.as_ref().is_some_and(|owner| owner.node != self.node) {
            return Ok(None);
        }
        let known = before.as_ref().map_or(Epoch(0), |owner| owner.epoch);
        let epoch = written.0.max(known.0).checked_add(1).ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                "acquire partition",
                "its journal claims the last epoch there is",
            )
        })?;
        let owner = Owner {
            node: self.node.clone(),
            epoch: Epoch(epoch),
        };
        let changed = ownership.change(partition, before.as_ref(), owner.clone());
        match changed.await {
            Ok(()) => {
                self.changed(partition, &owner);
                Ok(Some(owner.epoch))
            }
            // Another node was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::local_ownership::LocalOwnership;
    use crate::support::owner;

    const ID: PartitionId = PartitionId(1);

    fn table() -> OwnershipTable {
        OwnershipTable::new("here".to_owned(), 3)
    }

    #[test]
    fn what_is_owned_is_served_once_it_is_loaded_and_until_it_has_another_owner() {
        let table = table();
        assert_eq!(table.changed(ID, &owner("here", 2)), None);
        assert_eq!(table.epoch(ID), None);
        assert_eq!(table.wanted(), [(ID, Epoch(2))]);
        assert!(table.is_wanted(ID) && !table.is_wanted(PartitionId(2)));
        assert!(table.wants().now_or_never().is_some());
        table.serve(ID, Epoch(2));
        assert_eq!(table.epoch(ID), Some(Epoch(2)));
        assert_eq!(table.wanted(), []);
        assert!(!table.is_wanted(ID));
        // The same news again ends nothing.
        assert_eq!(table.changed(ID, &owner("here", 2)), None);
        assert_eq!(table.epoch(ID), Some(Epoch(2)));
        assert_eq!(table.changed(ID, &owner("there", 3)), Some(Epoch(2)));
        assert_eq!(table.epoch(ID), None);
        assert_eq!(table.wanted(), []);
    }

    #[test]
    fn what_was_lost_while_it_was_loaded_is_not_served() {
        let table = table();
        table.changed(ID, &owner("here", 2));
        assert!(table.is_owned(ID));
        let ended = table.changed(ID, &owner("there", 3));
        assert_eq!(ended, Some(Epoch(2)), "some may wait for it");
        assert!(!table.is_owned(ID));
        assert_eq!(table.changed(ID, &owner("elsewhere", 3)), None);
        table.serve(ID, Epoch(2));
        assert_eq!(table.epoch(ID), None);
        table.changed(ID, &owner("here", 4));
        table.serve(ID, Epoch(2));
        assert_eq!(table.epoch(ID), None);
        table.serve(ID, Epoch(4));
        assert_eq!(table.epoch(ID), Some(Epoch(4)));
    }

    #[test]
    fn who_is_owner_again_loads_again_before_it_serves() {
        let table = table();
        table.changed(ID, &owner("here", 2));
        table.serve(ID, Epoch(2));
        // A watcher that lags does not see the owner in between.
        assert_eq!(table.changed(ID, &owner("here", 4)), Some(Epoch(2)));
        assert_eq!(table.epoch(ID), None);
        assert_eq!(table.wanted(), [(ID, Epoch(4))]);
    }

    #[test]
    fn what_the_journal_tells_outweighs_older_news() {
        let table = table();
        table.changed(ID, &owner("here", 2));
        table.serve(ID, Epoch(2));
        table.cease(ID, Epoch(2));
        assert_eq!(table.epoch(ID), None);
        assert_eq!(table.wanted(), [(ID, Epoch(2))], "it may be loaded anew");
        table.outdone(ID, Epoch(5));
        assert_eq!(table.wanted(), []);
        table.changed(ID, &owner("here", 4));
        assert_eq!(table.wanted(), [], "that was before");
        table.changed(ID, &owner("here", 6));
        assert_eq!(table.wanted(), [(ID, Epoch(6))]);
        // To cease an older ownership ends nothing.
        table.serve(ID, Epoch(6));
        table.cease(ID, Epoch(2));
        assert_eq!(table.epoch(ID), Some(Epoch(6)));
    }

    #[test]
    fn a_node_acquires_what_nobody_owns_and_what_it_owned_before() {
        let ownership: Arc<dyn Ownership> = Arc::new(LocalOwnership::new());
        let acquire = |table: &OwnershipTable, written| {
            let acquired = table.acquire(&ownership, ID, Epoch(written));
            acquired.now_or_never().unwrap().unwrap()
        };
        assert_eq!(acquire(&table(), 7), Some(Epoch(8)));
        assert_eq!(acquire(&table(), 3), Some(Epoch(9)), "a later life of it");
        let other = OwnershipTable::new("there".to_owned(), 3);
        assert_eq!(acquire(&other, 9), None);
        assert_eq!(other.wanted(), []);
    }
}
