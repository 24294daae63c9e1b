//! A journal whose end is the end of the server.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::{Append, Journal, JournalEntry, JournalExtent, Position};
use grid_core::{ErrorKind, PartitionId, Result};

use crate::lifecycle::Lifecycle;

/// Passes every call on, and ends the server when the journal answers that it is closed. Only the
/// server closes it, last of all; before that, something in it has ended that nothing brings back,
/// such as its task. A server that went on would refuse every write, and call it a retry's
/// business.
#[derive(Debug)]
pub(crate) struct VitalJournal {
    inner: Arc<dyn Journal>,
    life: Lifecycle,
}

impl VitalJournal {
    pub(crate) fn new(inner: Arc<dyn Journal>, life: Lifecycle) -> Self {
        Self { inner, life }
    }

    fn heed<T>(&self, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer
            && error.kind() == ErrorKind::Closed
        {
            self.life.fail(format_args!("the journal ended ({error})"));
        }
        answer
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Journal for VitalJournal {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Position>> {
        let answers = self.inner.append(appends).await.into_iter();
        answers.map(|answer| self.heed(answer)).collect()
    }

    async fn read(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        self.heed(self.inner.read(partition, after, max_bytes).await)
    }

    async fn extent(&self, partition: PartitionId) -> Result<JournalExtent> {
        self.heed(self.inner.extent(partition).await)
    }

    async fn truncate(&self, partition: PartitionId, through: Position) -> Result<()> {
        self.heed(self.inner.truncate(partition, through).await)
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
