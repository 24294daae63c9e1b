//! The trait that carries messages between the nodes of one server.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::address::PartitionId;
use crate::error::Result;
use crate::maybe_send::{BoxFuture, MaybeSend, MaybeSync};

/// Events of partitions to whoever follows them, and requests to a partition's owner.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Bus: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// Sends `event` to all that follow `partition` now; delivery is at most once.
    ///
    /// # Errors
    /// `Unavailable` when the bus cannot be reached.
    async fn publish(&self, partition: PartitionId, event: Bytes) -> Result<()>;

    /// Follows the events of `partition` from now on.
    ///
    /// # Errors
    /// `Unavailable` when the bus cannot be reached.
    async fn subscribe(&self, partition: PartitionId) -> Result<Box<dyn Subscriber>>;

    /// Asks the owner of `partition`, and returns its answer.
    ///
    /// # Errors
    /// `NotFound` when nobody serves the partition, `Timeout` when the outcome is unknown.
    async fn request(&self, partition: PartitionId, request: Bytes) -> Result<Bytes>;

    /// Answers the requests for `partition` with `handler` until another takes its place.
    ///
    /// # Errors
    /// `Unavailable` when the bus cannot be reached.
    async fn serve(
        &self,
        partition: PartitionId,
        handler: Box<dyn Fn(Bytes) -> BoxFuture<'static, Result<Bytes>> + Send + Sync>,
    ) -> Result<()>;
}

/// The events of one partition.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Subscriber: MaybeSend + fmt::Debug {
    /// The next event.
    ///
    /// # Errors
    /// `Overloaded` when events were dropped because this subscriber was too slow (it goes on
    /// with the next one), `Closed` when the bus is gone.
    async fn next(&mut self) -> Result<Bytes>;
}
