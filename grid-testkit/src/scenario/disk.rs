//! A server's disk in the simulated world.

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::Result;
use grid_core::traits::{AppendFailure, Disk};

use super::medium::Medium;
use crate::ModelDisk;

/// A disk whose calls take simulated time and end with the power.
#[derive(Debug)]
pub(super) struct SimDisk {
    inner: ModelDisk,
    medium: Medium,
}

impl SimDisk {
    pub(super) fn new(inner: ModelDisk, medium: Medium) -> Self {
        Self { inner, medium }
    }
}

#[async_trait]
impl Disk for SimDisk {
    async fn append(&self, file: &str, data: Bytes) -> Result<u64> {
        self.medium.begin("append to file").await?;
        self.inner.append(file, data).await
    }

    async fn sync(&self, file: &str) -> Result<()> {
        self.medium.begin("sync file").await?;
        let synced = self.inner.sync(file).await;
        self.medium.end("file synced").await;
        synced
    }

    async fn append_and_sync(&self, file: &str, data: Bytes) -> Result<u64, AppendFailure> {
        // Each half is a call of its own here: the power may go between them.
        let appended = self.append(file, data).await;
        let length = appended.map_err(AppendFailure::NotAppended)?;
        self.inner.grow_ahead(file);
        let synced = self.sync(file).await;
        synced.map_err(AppendFailure::NotSynced)?;
        Ok(length)
    }

    async fn read(&self, file: &str, offset: u64, length: usize) -> Result<Bytes> {
        self.medium.begin("read file").await?;
        self.inner.read(file, offset, length).await
    }

    async fn truncate(&self, file: &str, length: u64) -> Result<()> {
        self.medium.begin("truncate file").await?;
        self.inner.truncate(file, length).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.medium.begin("rename file").await?;
        self.inner.rename(from, to).await
    }

    async fn remove(&self, file: &str) -> Result<()> {
        self.medium.begin("remove file").await?;
        self.inner.remove(file).await
    }
}
