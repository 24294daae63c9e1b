//! What this node owns, as the ownership table last told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{FutureExt, select_biased};
use grid_core::traits::{Epoch, Owner, Ownership, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};

use crate::lifecycle::{Lifecycle, Phase};

/// The epochs at which this node owns its partitions; read on every batch, so without a lock.
#[derive(Debug)]
pub(crate) struct OwnershipTable {
    node: String,
    /// 0 where another node owns the partition, or nobody.
    epochs: Box<[AtomicU64]>,
}

impl OwnershipTable {
    pub(crate) fn new(node: String, partitions: u16) -> Self {
        Self {
            node,
            epochs: (0..partitions).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The epoch at which this node owns `partition`.
    pub(crate) fn epoch(&self, partition: PartitionId) -> Option<Epoch> {
        let epoch = self.epochs.get(usize::from(partition.0))?;
        match epoch.load(Ordering::Acquire) {
            0 => None,
            epoch => Some(Epoch(epoch)),
        }
    }

    /// Takes note of an owner.
    pub(crate) fn changed(&self, partition: PartitionId, owner: &Owner) {
        if let Some(epoch) = self.epochs.get(usize::from(partition.0)) {
            let mine = if owner.node == self.node {
                owner.epoch.0
            } else {
                0
            };
            epoch.store(mine, Ordering::Release);
        }
    }

    /// Makes this node the owner of `partition`, at an epoch after `written`, the highest that its
    /// journal has seen.
    ///
    /// # Errors
    /// `Conflict` when another node was faster, `Unavailable` when the table cannot be reached.
    pub(crate) async fn acquire(
        &self,
        ownership: &Arc<dyn Ownership>,
        partition: PartitionId,
        written: Epoch,
    ) -> Result<Epoch> {
        let before = ownership.owner(partition).await?;
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
        ownership
            .change(partition, before.as_ref(), owner.clone())
            .await?;
        self.changed(partition, &owner);
        Ok(owner.epoch)
    }
}

/// Keeps `table` level with the ownership table, until the server's life is over.
///
/// # Errors
/// `Unavailable` when the ownership table cannot be reached.
pub(crate) async fn follow(
    table: &Arc<OwnershipTable>,
    ownership: &Arc<dyn Ownership>,
    runtime: &dyn Runtime,
    lifecycle: Lifecycle,
) -> Result<()> {
    let mut watch = ownership.watch().await?;
    let table = table.clone();
    let task = async move {
        let over = lifecycle.reached(Phase::Over).fuse();
        futures::pin_mut!(over);
        loop {
            let next = select_biased! {
                () = over => return,
                next = watch.next().fuse() => next,
            };
            match next {
                Ok((partition, owner)) => table.changed(partition, &owner),
                Err(error) => {
                    tracing::error!(%error, "the ownership table is no longer followed");
                    return;
                }
            }
        }
    };
    runtime.spawn("ownership", Box::pin(task));
    Ok(())
}
