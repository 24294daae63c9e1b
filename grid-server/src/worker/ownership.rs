//! Beginning to run partitions that this node has become the owner of, and ceasing to run those
//! that it has lost.

use grid_core::PartitionId;
use grid_core::traits::Epoch;

use super::message::SubscribeWork;
use super::task::Worker;
use crate::partition_service::{Owned, fenced, not_here};
use crate::sessions::goodbye;
use crate::write_behind::Backing;

impl Worker {
    /// Runs a partition from now on.
    pub(super) fn begin(&mut self, owned: Owned) {
        let partition = owned.partition.id();
        self.cease(partition, owned.epoch);
        self.context.shard.lock().insert(partition, owned);
        for work in self.expected.take(partition) {
            self.subscribe(&work);
        }
    }

    /// Takes note of what the database has of a partition that was made of the journal alone.
    pub(super) fn confirm(&mut self, partition: PartitionId, epoch: Epoch, found: Backing) {
        if let Some(owned) = self.context.shard.lock().get_mut(&partition)
            && owned.epoch == epoch
        {
            owned.backing.confirm(found, owned.tail);
        }
        // The database may have had it all along.
        self.tell_stored();
        self.context.flush.notify_one();
    }

    /// Ceases to run a partition as its owner of `epoch`, or to expect it. Those who follow it are
    /// sent to its new owner; what was pushed is refused, and pushed again there.
    pub(super) fn cease(&mut self, partition: PartitionId, epoch: Epoch) {
        let was_run = {
            let mut partitions = self.context.shard.lock();
            match partitions.get(&partition) {
                Some(owned) if owned.epoch <= epoch => partitions.remove(&partition).is_some(),
                // It is run as of a later epoch already.
                Some(_) => return,
                None => false,
            }
        };
        if was_run {
            self.send_away(partition);
        }
        if !self.context.table.is_owned(partition) {
            let last = goodbye(&not_here(partition));
            for work in self.expected.take(partition) {
                work.session.outgoing().end(Some(&last));
            }
        }
    }

    /// Has those who have to do with a partition go to its new owner.
    fn send_away(&mut self, partition: PartitionId) {
        self.give_up_held(partition);
        self.give_up_credit(partition);
        let last = goodbye(&fenced(partition));
        let followers = self.subscribers.lock().forget(partition);
        for session in followers {
            session.outgoing().end(Some(&last));
        }
    }

    /// Ceases to run what another owner has written to.
    pub(super) fn give_up_fenced(&mut self) {
        let fenced: Vec<(PartitionId, Epoch)> = {
            let partitions = self.context.shard.lock();
            let fenced = partitions.iter().filter(|(_, owned)| owned.fenced);
            fenced.map(|(id, owned)| (*id, owned.epoch)).collect()
        };
        for (partition, epoch) in fenced {
            tracing::warn!(%partition, "another owner has written; the partition is given up");
            self.context.table.cease(partition, epoch);
            self.cease(partition, epoch);
        }
    }

    /// A client that is further than a partition has seen a later owner, unless the journal was
    /// lost. The journal knows.
    pub(super) async fn doubt(&mut self, work: &SubscribeWork) {
        for (id, cursor) in &work.partitions {
            let is_ahead = |owned: &Owned| owned.partition.is_overtaken(work.history, *cursor);
            if !self.context.shard.lock().get(id).is_some_and(is_ahead) {
                continue;
            }
            let written = self.context.journal.extent(*id).await;
            let mut partitions = self.context.shard.lock();
            let Some(owned) = partitions.get_mut(id) else {
                continue;
            };
            match written {
                Ok(extent) => owned.fenced |= extent.epoch > owned.epoch,
                Err(error) => work.session.outgoing().end(Some(&goodbye(&error))),
            }
        }
        self.give_up_fenced();
    }
}
