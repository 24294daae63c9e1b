//! The suites, on one thread and on several.

use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::{Persistence, Storage};
use grid_storage_sqlite::SqliteOptions;
use grid_testkit::conformance::persistence::PersistenceFixture;
use grid_testkit::conformance::storage::StorageFixture;

use crate::place::{self, Place};

/// A file and a tokio runtime with `THREADS` worker threads.
struct File<const THREADS: usize>(Place);

impl<const THREADS: usize> Default for File<THREADS> {
    fn default() -> Self {
        Self(Place::new(THREADS))
    }
}

impl<const THREADS: usize> StorageFixture for File<THREADS> {
    async fn open(&self) -> Result<Arc<dyn Storage>> {
        let store = place::storage(self.0.file(), SqliteOptions::default()).await?;
        Ok(Arc::new(store))
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}

impl<const THREADS: usize> PersistenceFixture for File<THREADS> {
    const FORBIDS: bool = true;

    async fn open(&self) -> Result<Arc<dyn Persistence>> {
        Ok(Arc::new(place::persistence(self.0.file()).await?))
    }

    async fn forbid(&self, key: &str) -> Result<()> {
        place::forbid(self.0.file(), key).await;
        Ok(())
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}

grid_testkit::storage_conformance!(storage, File<0>);
grid_testkit::storage_conformance!(storage_on_threads, File<2>);
grid_testkit::persistence_conformance!(persistence, File<0>);
grid_testkit::persistence_conformance!(persistence_on_threads, File<2>);
