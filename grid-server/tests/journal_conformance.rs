//! The local journal passes the suite: over files, and over a model disk with segments so small
//! that every case runs through many.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::{Disk, Journal};
use grid_runtime_tokio::{FileDisk, TokioRuntime};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_testkit::ModelDisk;
use grid_testkit::conformance::journal::JournalFixture;
use tempfile::TempDir;

fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime starts")
}

async fn open(disk: Arc<dyn Disk>, options: JournalOptions) -> Result<Arc<dyn Journal>> {
    let runtime = Arc::new(TokioRuntime::current()?);
    Ok(Arc::new(LocalJournal::open(disk, runtime, options).await?))
}

struct Files {
    directory: TempDir,
    tokio: tokio::runtime::Runtime,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            directory: TempDir::new().expect("a temporary directory"),
            tokio: tokio_runtime(),
        }
    }
}

impl JournalFixture for Files {
    async fn open(&self) -> Result<Arc<dyn Journal>> {
        let disk = FileDisk::open(self.directory.path())?;
        open(Arc::new(disk), JournalOptions::default()).await
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.tokio.block_on(future)
    }
}

struct SmallSegments {
    disk: ModelDisk,
    tokio: tokio::runtime::Runtime,
}

impl Default for SmallSegments {
    fn default() -> Self {
        Self {
            disk: ModelDisk::new(1),
            tokio: tokio_runtime(),
        }
    }
}

impl JournalFixture for SmallSegments {
    async fn open(&self) -> Result<Arc<dyn Journal>> {
        let options = JournalOptions {
            segment_bytes: 16 * 1024,
            group_bytes: 4 * 1024,
        };
        open(Arc::new(self.disk.clone()), options).await
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.tokio.block_on(future)
    }
}

grid_testkit::journal_conformance!(over_files, Files);
grid_testkit::journal_conformance!(over_small_segments, SmallSegments);
