//! Following the ownership table: what this node gets is wanted from then on, and what it loses is
//! served no longer.

use std::sync::Arc;

use futures::{FutureExt, select_biased};
use grid_core::traits::{Owner, Ownership, OwnershipWatch, Runtime};
use grid_core::{PartitionId, Result};

use crate::lifecycle::{Lifecycle, Phase};
use crate::ownership_table::OwnershipTable;
use crate::worker::{Mailboxes, WorkerMessage};
use crate::write_behind::Backoff;

/// What keeps the table of this node level with that of all nodes.
#[derive(Debug)]
pub(crate) struct Following {
    /// Held as long as the server lives: a table of this process alone ends with its last holder.
    pub(crate) ownership: Arc<dyn Ownership>,
    pub(crate) table: Arc<OwnershipTable>,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) partition_count: u16,
}

impl Following {
    /// Follows the ownership table by `watch`, and by another one whenever that fails, until the
    /// server's life is over.
    pub(crate) fn start(self, watch: Box<dyn OwnershipWatch>, life: &Lifecycle) {
        let runtime = self.runtime.clone();
        let vital = life.depends_on("ownership");
        let life = life.clone();
        let task = async move {
            let over = life.reached(Phase::Over).fuse();
            futures::pin_mut!(over);
            select_biased! {
                () = over => {}
                () = Box::pin(self.follow(watch)).fuse() => {}
            }
            vital.done();
        };
        runtime.spawn("ownership", Box::pin(task));
    }

    /// Returns when the server is ending.
    async fn follow(&self, mut watch: Box<dyn OwnershipWatch>) {
        let mut backoff = Backoff::default();
        loop {
            let heard = match watch.next().await {
                Ok(change) => {
                    backoff.succeeded();
                    vec![change]
                }
                Err(error) => {
                    tracing::warn!(%error, "the ownership table is not heard any more");
                    let (again, owners) = self.listen_again(&mut backoff).await;
                    watch = again;
                    owners
                }
            };
            for (partition, owner) in heard {
                if self.changed(partition, &owner).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn listen_again(
        &self,
        backoff: &mut Backoff,
    ) -> (Box<dyn OwnershipWatch>, Vec<(PartitionId, Owner)>) {
        loop {
            let wait = backoff.failed(self.runtime.random());
            self.runtime.sleep(wait).await;
            match self.listen().await {
                Ok(heard) => {
                    tracing::info!("the ownership table is heard again");
                    return heard;
                }
                Err(error) => tracing::warn!(%error, "the ownership table cannot be read"),
            }
        }
    }

    /// A new watch, and the owners of all partitions as of a moment after it began: nothing is
    /// missed that changed while nobody watched.
    ///
    /// # Errors
    /// As the ownership table's.
    async fn listen(&self) -> Result<(Box<dyn OwnershipWatch>, Vec<(PartitionId, Owner)>)> {
        let watch = self.ownership.watch().await?;
        let mut owners = Vec::new();
        for partition in (0..self.partition_count).map(PartitionId) {
            let owner = self.ownership.owner(partition).await?;
            owners.extend(owner.map(|owner| (partition, owner)));
        }
        Ok((watch, owners))
    }

    /// Takes note of an owner, and tells the worker of a partition that is lost.
    ///
    /// # Errors
    /// `Closed` when the server is ending.
    async fn changed(&self, partition: PartitionId, owner: &Owner) -> Result<()> {
        let Some(epoch) = self.table.changed(partition, owner) else {
            return Ok(());
        };
        tracing::info!(%partition, owner = owner.node, "a partition has another owner");
        let worker = self.mailboxes.worker_of(partition);
        let cease = WorkerMessage::Cease(partition, epoch);
        self.mailboxes.send(worker, cease).await
    }
}
