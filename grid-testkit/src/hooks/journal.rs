//! The wrapper of a journal.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::{Append, Journal, JournalEntry, JournalExtent, Position};
use grid_core::{MaybeSend, MaybeSync, PartitionId, Result};

/// What is done instead of a call of a journal. A hook that is not written passes the call on to
/// `inner`; one that is may do so before, after, with other arguments, or not at all.
///
/// Implementations carry `#[async_trait]`, as those of [`Journal`] do.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait JournalHooks: MaybeSend + MaybeSync + std::fmt::Debug + 'static {
    /// Instead of [`Journal::append`].
    async fn append(&self, inner: &dyn Journal, appends: Vec<Append>) -> Vec<Result<Position>> {
        inner.append(appends).await
    }

    /// Instead of [`Journal::read`].
    ///
    /// # Errors
    /// As the call's.
    async fn read(
        &self,
        inner: &dyn Journal,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        inner.read(partition, after, max_bytes).await
    }

    /// Instead of [`Journal::extent`].
    ///
    /// # Errors
    /// As the call's.
    async fn extent(&self, inner: &dyn Journal, partition: PartitionId) -> Result<JournalExtent> {
        inner.extent(partition).await
    }

    /// Instead of [`Journal::truncate`].
    ///
    /// # Errors
    /// As the call's.
    async fn truncate(
        &self,
        inner: &dyn Journal,
        partition: PartitionId,
        through: Position,
    ) -> Result<()> {
        inner.truncate(partition, through).await
    }

    /// Instead of [`Journal::close`].
    ///
    /// # Errors
    /// As the call's.
    async fn close(&self, inner: &dyn Journal) -> Result<()> {
        inner.close().await
    }
}

/// A journal with hooks; [`super::HookedPersistence`] shows how they are written.
#[derive(Debug)]
pub struct HookedJournal<H> {
    inner: Arc<dyn Journal>,
    hooks: H,
}

impl<H> HookedJournal<H> {
    /// Puts `hooks` before the calls of `inner`.
    pub fn new(inner: Arc<dyn Journal>, hooks: H) -> Self {
        Self { inner, hooks }
    }

    /// The hooks.
    pub fn hooks(&self) -> &H {
        &self.hooks
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<H: JournalHooks> Journal for HookedJournal<H> {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Position>> {
        self.hooks.append(&*self.inner, appends).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        let inner = &*self.inner;
        self.hooks.read(inner, partition, after, max_bytes).await
    }

    async fn extent(&self, partition: PartitionId) -> Result<JournalExtent> {
        self.hooks.extent(&*self.inner, partition).await
    }

    async fn truncate(&self, partition: PartitionId, through: Position) -> Result<()> {
        self.hooks.truncate(&*self.inner, partition, through).await
    }

    async fn close(&self) -> Result<()> {
        self.hooks.close(&*self.inner).await
    }
}
