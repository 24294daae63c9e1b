//! The ownership table of a server that is one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use grid_core::traits::{Owner, Ownership, OwnershipWatch};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use tokio::sync::Notify;

/// Owners in the memory of one process. Clones share them.
#[derive(Debug, Clone)]
pub struct LocalOwnership {
    table: Arc<Table>,
    /// Dropped with the last clone, which ends the watchers.
    _holder: Arc<Holder>,
}

/// What clones and watchers share.
#[derive(Debug, Default)]
struct Table {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    owners: BTreeMap<PartitionId, Versioned>,
    /// The number of the last change.
    last: u64,
    /// Nobody can change it any more.
    gone: bool,
}

#[derive(Debug)]
struct Holder(Arc<Table>);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.lock().gone = true;
        self.0.changed.notify_waiters();
    }
}

#[derive(Debug)]
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
        let table = Arc::<Table>::default();
        Self {
            _holder: Arc::new(Holder(table.clone())),
            table,
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ownership for LocalOwnership {
    async fn owner(&self, partition: PartitionId) -> Result<Option<Owner>> {
        let state = self.table.lock();
        Ok(state
            .owners
            .get(&partition)
            .map(|entry| entry.owner.clone()))
    }

    async fn change(
        &self,
        partition: PartitionId,
        expected: Option<&Owner>,
        next: Owner,
    ) -> Result<()> {
        let mut state = self.table.lock();
        let current = state.owners.get(&partition).map(|entry| &entry.owner);
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
        state.last += 1;
        let versioned = Versioned {
            owner: next,
            change: state.last,
        };
        state.owners.insert(partition, versioned);
        drop(state);
        self.table.changed.notify_waiters();
        Ok(())
    }

    async fn watch(&self) -> Result<Box<dyn OwnershipWatch>> {
        let seen = self.table.lock().last;
        Ok(Box::new(LocalWatch {
            table: self.table.clone(),
            seen,
        }))
    }
}

/// A watcher of a [`LocalOwnership`].
#[derive(Debug)]
struct LocalWatch {
    table: Arc<Table>,
    seen: u64,
}

impl LocalWatch {
    /// The earliest change that was not seen, `None` if there is none yet.
    fn unseen(&mut self) -> Result<Option<(PartitionId, Owner)>> {
        let state = self.table.lock();
        let next = state
            .owners
            .iter()
            .filter(|(_, entry)| entry.change > self.seen)
            .min_by_key(|(_, entry)| entry.change);
        match next {
            Some((partition, entry)) => {
                self.seen = entry.change;
                Ok(Some((*partition, entry.owner.clone())))
            }
            None if state.gone => Err(Error::new(
                ErrorKind::Closed,
                "watch owners",
                "the table is gone",
            )),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl OwnershipWatch for LocalWatch {
    async fn next(&mut self) -> Result<(PartitionId, Owner)> {
        let table = self.table.clone();
        loop {
            let changed = table.changed.notified();
            if let Some(change) = self.unseen()? {
                return Ok(change);
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::support::{now, owner};

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
