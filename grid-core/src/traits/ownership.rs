//! The trait of the table that says who owns which partition.

use std::fmt;

use async_trait::async_trait;

use super::journal::Epoch;
use crate::address::PartitionId;
use crate::error::Result;
use crate::maybe_send::{MaybeSend, MaybeSync};

/// The owner of a partition at an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node's name.
    pub node: String,
    /// The number of this ownership.
    pub epoch: Epoch,
}

/// The ownership table: read, compare-and-set, watch.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Ownership: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// The owner of `partition`, if it ever had one.
    ///
    /// # Errors
    /// `Unavailable` when the table cannot be reached.
    async fn owner(&self, partition: PartitionId) -> Result<Option<Owner>>;

    /// Makes `next` the owner of `partition` if the owner is still `expected`.
    ///
    /// # Errors
    /// `Conflict` when it is not, `Invalid` when the epoch of `next` is not above the old one.
    async fn change(
        &self,
        partition: PartitionId,
        expected: Option<&Owner>,
        next: Owner,
    ) -> Result<()>;

    /// Follows all changes from now on.
    ///
    /// # Errors
    /// `Unavailable` when the table cannot be reached.
    async fn watch(&self) -> Result<Box<dyn OwnershipWatch>>;
}

/// A stream of changes of the ownership table.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait OwnershipWatch: MaybeSend + fmt::Debug {
    /// The next change. A watcher that lags sees the newest owner of each partition, not every
    /// one in between.
    ///
    /// # Errors
    /// `Closed` when the table is gone.
    async fn next(&mut self) -> Result<(PartitionId, Owner)>;
}
