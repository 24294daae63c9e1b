//! The table of who owns which partition, as a run with several servers has it: each server sees it
//! through a view of its own, which may be late.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::traits::{Epoch, Owner, Ownership, OwnershipWatch};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use tokio::sync::Notify;

/// The table. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Every change, in order.
    changes: Vec<(PartitionId, Owner)>,
    late: BTreeMap<usize, Late>,
}

/// A server that hears of changes late.
#[derive(Debug, Clone, Copy)]
struct Late {
    /// How many changes it has heard of.
    seen: usize,
    until: Duration,
}

impl State {
    /// The changes that a server has heard of.
    fn seen_by(&self, server: usize) -> &[(PartitionId, Owner)] {
        match self.late.get(&server) {
            Some(late) => &self.changes[..late.seen],
            None => &self.changes,
        }
    }
}

fn newest(changes: &[(PartitionId, Owner)], partition: PartitionId) -> Option<&Owner> {
    let mut changes = changes.iter().rev();
    changes
        .find(|(of, _)| *of == partition)
        .map(|(_, owner)| owner)
}

/// The name of a server in the table.
pub(super) fn node_name(server: usize) -> String {
    format!("node-{server}")
}

impl Owners {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table as a server sees it.
    pub(super) fn seen_by(&self, server: usize) -> Arc<dyn Ownership> {
        Arc::new(Seen {
            owners: self.clone(),
            server,
        })
    }

    /// Makes a server the owner of all partitions, each at its next epoch.
    pub(super) fn give_all_to(&self, server: usize, partitions: u16) {
        let node = node_name(server);
        let mut state = self.lock();
        for partition in (0..partitions).map(PartitionId) {
            let before = newest(&state.changes, partition);
            let epoch = Epoch(before.map_or(0, |owner| owner.epoch.0) + 1);
            if before.is_none_or(|owner| owner.node != node) {
                let owner = Owner {
                    node: node.clone(),
                    epoch,
                };
                state.changes.push((partition, owner));
            }
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// A server hears of no change from now on, until `until` at the latest.
    pub(super) fn make_late(&self, server: usize, until: Duration) {
        let mut state = self.lock();
        let seen = state.changes.len();
        let late = state.late.entry(server).or_insert(Late { seen, until });
        late.until = late.until.max(until);
    }

    /// Those whose time has come at `now` hear of everything.
    pub(super) fn tell(&self, now: Duration) {
        self.lock().late.retain(|_, late| late.until > now);
        self.0.changed.notify_waiters();
    }
}

/// The table as one server sees it.
#[derive(Debug)]
struct Seen {
    owners: Owners,
    server: usize,
}

#[async_trait]
impl Ownership for Seen {
    async fn owner(&self, partition: PartitionId) -> Result<Option<Owner>> {
        let state = self.owners.lock();
        Ok(newest(state.seen_by(self.server), partition).cloned())
    }

    async fn change(
        &self,
        partition: PartitionId,
        expected: Option<&Owner>,
        next: Owner,
    ) -> Result<()> {
        let mut state = self.owners.lock();
        let current = newest(&state.changes, partition);
        let refused = |kind, message| {
            Err(Error::new(kind, "change owner", message).with("partition", partition))
        };
        if current != expected {
            return refused(ErrorKind::Conflict, "there is another owner than expected");
        }
        if current.is_some_and(|current| next.epoch <= current.epoch) {
            return refused(ErrorKind::Invalid, "the epoch is not above the old one");
        }
        state.changes.push((partition, next));
        drop(state);
        self.owners.0.changed.notify_waiters();
        Ok(())
    }

    async fn watch(&self) -> Result<Box<dyn OwnershipWatch>> {
        let heard = self.owners.lock().seen_by(self.server).len();
        Ok(Box::new(Watch {
            owners: self.owners.clone(),
            server: self.server,
            heard,
        }))
    }
}

#[derive(Debug)]
struct Watch {
    owners: Owners,
    server: usize,
    /// How many changes were told.
    heard: usize,
}

impl Watch {
    /// The next change that was not told, and that no later one of its partition outdates.
    fn unheard(&mut self) -> Option<(PartitionId, Owner)> {
        let state = self.owners.lock();
        let seen = state.seen_by(self.server);
        while let Some((partition, owner)) = seen.get(self.heard) {
            self.heard += 1;
            if newest(seen, *partition) == Some(owner) {
                return Some((*partition, owner.clone()));
            }
        }
        None
    }
}

#[async_trait]
impl OwnershipWatch for Watch {
    async fn next(&mut self) -> Result<(PartitionId, Owner)> {
        let owners = self.owners.clone();
        loop {
            let changed = owners.0.changed.notified();
            if let Some(change) = self.unheard() {
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

    const ID: PartitionId = PartitionId(0);

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
    fn a_late_server_hears_of_a_takeover_when_its_time_has_come() {
        let owners = Owners::default();
        let (old, new) = (owners.seen_by(0), owners.seen_by(1));
        now(old.change(ID, None, owner("node-0", 1))).unwrap();
        let mut hears = now(old.watch()).unwrap();
        let mut hears_at_once = now(new.watch()).unwrap();
        owners.make_late(0, Duration::from_secs(3));
        owners.make_late(0, Duration::from_secs(2));
        owners.give_all_to(1, 1);
        assert_eq!(now(hears_at_once.next()).unwrap(), (ID, owner("node-1", 2)));
        assert_eq!(now(old.owner(ID)).unwrap(), Some(owner("node-0", 1)));
        owners.tell(Duration::from_secs(2));
        assert!(hears.next().now_or_never().is_none());
        // What it changes, it changes in the table itself.
        let stale = now(old.change(ID, Some(&owner("node-0", 1)), owner("node-0", 2)));
        assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict);
        owners.tell(Duration::from_secs(3));
        assert_eq!(now(hears.next()).unwrap(), (ID, owner("node-1", 2)));
        assert_eq!(now(old.owner(ID)).unwrap(), Some(owner("node-1", 2)));
    }

    #[test]
    fn who_owns_a_partition_already_keeps_its_epoch() {
        let owners = Owners::default();
        owners.give_all_to(0, 2);
        owners.give_all_to(0, 2);
        let seen = owners.seen_by(0);
        assert_eq!(
            now(seen.owner(PartitionId(1))).unwrap(),
            Some(owner("node-0", 1))
        );
    }
}
