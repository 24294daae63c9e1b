//! What the client's tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::traits::{Batch, Page, Runtime, Storage, StorageCapabilities, Table};
use grid_core::{Error, ErrorKind, Result};
use grid_runtime_tokio::TokioRuntime;
use grid_storage_memory::MemoryStorage;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The runtime of the test.
pub(crate) fn runtime() -> Arc<dyn Runtime> {
    Arc::new(TokioRuntime::current().unwrap())
}

/// A store that counts its batches, and takes none while told so.
#[derive(Debug)]
pub(crate) struct FailingStorage {
    inner: MemoryStorage,
    max_value_bytes: usize,
    failing: AtomicBool,
    panicking: AtomicBool,
    batches: AtomicUsize,
    gate: Semaphore,
}

#[allow(dead_code, reason = "not every test file uses all of it")]
impl FailingStorage {
    pub(crate) fn new(inner: MemoryStorage) -> Self {
        let max_value_bytes = inner.capabilities().max_value_bytes;
        Self::small(inner, max_value_bytes)
    }

    /// A store that takes values of so many bytes.
    pub(crate) fn small(inner: MemoryStorage, max_value_bytes: usize) -> Self {
        Self {
            inner,
            max_value_bytes,
            failing: AtomicBool::new(false),
            panicking: AtomicBool::new(false),
            batches: AtomicUsize::new(0),
            gate: Semaphore::new(1),
        }
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// The next batch meets a bug.
    pub(crate) fn panic(&self) {
        self.panicking.store(true, Ordering::SeqCst);
    }

    /// Lets every batch wait until the returned value is dropped.
    pub(crate) fn hold(&self) -> SemaphorePermit<'_> {
        self.gate.try_acquire().unwrap()
    }

    pub(crate) fn batches(&self) -> usize {
        self.batches.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Storage for FailingStorage {
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities {
            max_value_bytes: self.max_value_bytes,
            ..self.inner.capabilities()
        }
    }

    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>> {
        self.inner.get(table, key).await
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        self.inner.scan(table, after, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        let _gate = self.gate.acquire().await.unwrap();
        assert!(!self.panicking.load(Ordering::SeqCst), "a bug of a store");
        if self.failing.load(Ordering::SeqCst) {
            let error = Error::new(ErrorKind::Full, "apply", "no room left");
            return Err(error.with("path", "here"));
        }
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.inner.apply(batch).await
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
