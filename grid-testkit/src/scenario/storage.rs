//! A local store that takes its time, so that crashes fall before, within and after its calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::Result;
use grid_core::traits::{Batch, Page, Runtime, Storage, StorageCapabilities, Table};

use crate::sim::SimRuntime;

/// Longest time of a call before and after it takes effect, in microseconds.
const LONGEST_MICROS: u64 = 3000;

/// A store whose calls take simulated time.
#[derive(Debug)]
pub(super) struct SlowStorage {
    inner: Arc<dyn Storage>,
    runtime: SimRuntime,
}

impl SlowStorage {
    pub(super) fn new(inner: Arc<dyn Storage>, runtime: SimRuntime) -> Self {
        Self { inner, runtime }
    }

    async fn work(&self) {
        let micros = self.runtime.executor().below(LONGEST_MICROS);
        self.runtime.sleep(Duration::from_micros(micros)).await;
    }
}

#[async_trait]
impl Storage for SlowStorage {
    fn capabilities(&self) -> StorageCapabilities {
        self.inner.capabilities()
    }

    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>> {
        self.work().await;
        self.inner.get(table, key).await
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        self.work().await;
        self.inner.scan(table, after, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        self.work().await;
        let applied = self.inner.apply(batch).await;
        self.work().await;
        applied
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
