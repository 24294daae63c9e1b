//! A store that takes nothing while told so, and whose rows can be changed behind its back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::traits::{Batch, Page, Storage, StorageCapabilities, Table};
use grid_core::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(crate) struct PausingStorage {
    inner: Arc<dyn Storage>,
    full: AtomicBool,
}

impl PausingStorage {
    pub(crate) fn new(inner: Arc<dyn Storage>) -> Self {
        Self {
            inner,
            full: AtomicBool::new(false),
        }
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }
}

#[async_trait]
impl Storage for PausingStorage {
    fn capabilities(&self) -> StorageCapabilities {
        self.inner.capabilities()
    }

    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>> {
        self.inner.get(table, key).await
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        self.inner.scan(table, after, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Full, "apply", "no room left"));
        }
        self.inner.apply(batch).await
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
