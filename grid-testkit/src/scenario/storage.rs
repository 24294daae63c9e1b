//! A device's store in the simulated world.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::Result;
use grid_core::traits::{Batch, Page, Storage, StorageCapabilities, Table};

use super::medium::Medium;

/// A store whose calls take simulated time, fail, and end with the power.
#[derive(Debug)]
pub(super) struct SimStorage {
    inner: Arc<dyn Storage>,
    medium: Medium,
}

impl SimStorage {
    pub(super) fn new(inner: Arc<dyn Storage>, medium: Medium) -> Self {
        Self { inner, medium }
    }
}

#[async_trait]
impl Storage for SimStorage {
    fn capabilities(&self) -> StorageCapabilities {
        self.inner.capabilities()
    }

    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>> {
        self.medium.begin("get row").await?;
        self.inner.get(table, key).await
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        self.medium.begin("scan rows").await?;
        self.inner.scan(table, after, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        self.medium.begin("apply batch").await?;
        let applied = self.inner.apply(batch).await;
        self.medium.end("batch applied").await;
        applied
    }

    async fn flush(&self) -> Result<()> {
        self.medium.begin("flush store").await?;
        self.inner.flush().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
