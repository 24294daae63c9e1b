//! The ownership table of a server that is one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use grid_core::traits::{Owner, Ownership, OwnershipWatch};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use tokio::sync::watch;

/// Owners in the memory of one process. Clones share them.
#[derive(Debug, Clone)]
pub struct LocalOwnership {
    owners: Arc<Mutex<BTreeMap<PartitionId, Versioned>>>,
    /// The number of the last change.
    last: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct Versioned {
    owner: Owner,
    change: u64,
}

impl Default for LocalOwnership {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalOwnership {
    /// A table without owners.
    #[must_use]
    pub fn new() -> Self {
        Self {
            owners: Arc::default(),
            last: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Versioned>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ownership for LocalOwnership {
    async fn owner(&self, partition: PartitionId) -> Result<Option<Owner>> {
        Ok(self.lock().get(&partition).map(|entry| entry.owner.clone()))
    }

    async fn change(
        &self,
        partition: PartitionId,
        expected: Option<&Owner>,
        next: Owner,
    ) -> Result<()> {
        let mut owners = self.lock();
        let current = owners.get(&partition).map(|entry| &entry.owner);
        if current != expected {
            return Err(Error::new(
                ErrorKind::Conflict,
                "change owner",
                "the partition has another owner than expected",
            )
            .with("partition", partition));
        }
        if current.is_some_and(|current| next.epoch <= current.epoch) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "change owner",
                "the epoch of a new owner is above that of the old one",
            )
            .with("partition", partition));
        }
        let change = *self.last.borrow() + 1;
        owners.insert(
            partition,
            Versioned {
                owner: next,
                change,
            },
        );
        drop(owners);
        self.last.send_replace(change);
        Ok(())
    }

    async fn watch(&self) -> Result<Box<dyn OwnershipWatch>> {
        let last = self.last.subscribe();
        let seen = *last.borrow();
        Ok(Box::new(LocalWatch {
            owners: Arc::downgrade(&self.owners),
            last,
            seen,
        }))
    }
}

/// A watcher of a [`LocalOwnership`].
#[derive(Debug)]
struct LocalWatch {
    owners: std::sync::Weak<Mutex<BTreeMap<PartitionId, Versioned>>>,
    last: watch::Receiver<u64>,
    seen: u64,
}

#[async_trait]
impl OwnershipWatch for LocalWatch {
    async fn next(&mut self) -> Result<(PartitionId, Owner)> {
        loop {
            if let Some(owners) = self.owners.upgrade() {
                let owners = owners.lock().unwrap_or_else(PoisonError::into_inner);
                let next = owners
                    .iter()
                    .filter(|(_, entry)| entry.change > self.seen)
                    .min_by_key(|(_, entry)| entry.change);
                if let Some((partition, entry)) = next {
                    self.seen = entry.change;
                    return Ok((*partition, entry.owner.clone()));
                }
            }
            if self.last.changed().await.is_err() {
                return Err(Error::new(
                    ErrorKind::Closed,
                    "watch owners",
                    "the table is gone",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use grid_core::traits::Epoch;

    use super::*;

    fn owner(node: &str, epoch: u64) -> Owner {
        Owner {
            node: node.to_owned(),
            epoch: Epoch(epoch),
        }
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().expect("nothing to wait for")
    }

    #[test]
    fn a_change_needs_the_owner_that_is_there_and_a_higher_epoch() {
        let table = LocalOwnership::new();
        let id = PartitionId(4);
        assert_eq!(now(table.owner(id)).unwrap(), None);
        now(table.change(id, None, owner("a", 3))).unwrap();
        let conflict = now(table.change(id, None, owner("b", 9))).unwrap_err();
        assert_eq!(conflict.kind(), ErrorKind::Conflict);
        let stale = now(table.change(id, Some(&owner("a", 3)), owner("b", 3))).unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Invalid);
        assert_eq!(now(table.owner(id)).unwrap(), Some(owner("a", 3)));
        now(table.change(id, Some(&owner("a", 3)), owner("b", 4))).unwrap();
        assert_eq!(now(table.owner(id)).unwrap(), Some(owner("b", 4)));
    }

    #[test]
    fn a_watcher_sees_the_newest_owner_of_each_partition_from_now_on() {
        let table = LocalOwnership::new();
        now(table.change(PartitionId(1), None, owner("a", 1))).unwrap();
        let mut watch = now(table.watch()).unwrap();
        assert!(watch.next().now_or_never().is_none(), "nothing changed yet");
        now(table.change(PartitionId(2), None, owner("a", 1))).unwrap();
        now(table.change(PartitionId(3), None, owner("a", 1))).unwrap();
        now(table.change(PartitionId(2), Some(&owner("a", 1)), owner("b", 2))).unwrap();
        assert_eq!(now(watch.next()).unwrap(), (PartitionId(3), owner("a", 1)));
        assert_eq!(now(watch.next()).unwrap(), (PartitionId(2), owner("b", 2)));
        assert!(watch.next().now_or_never().is_none());
        drop(table);
        let error = now(watch.next()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}
