//! The memory backends pass the suites, and keep what is special about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use grid_core::Result;
use grid_core::traits::{Persistence, Storage};
use grid_storage_memory::{MemoryPersistence, MemoryStorage};
use grid_testkit::conformance::persistence::PersistenceFixture;
use grid_testkit::conformance::storage::StorageFixture;

/// A name in memory that no other fixture uses.
struct Name(String);

impl Default for Name {
    fn default() -> Self {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        Self(format!("memory:conformance {number}"))
    }
}

impl StorageFixture for Name {
    async fn open(&self) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(MemoryStorage::open(&self.0)?))
    }
}

impl PersistenceFixture for Name {
    // Nobody but the program gets at its memory.
    const FORBIDS: bool = false;

    async fn open(&self) -> Result<Arc<dyn Persistence>> {
        Ok(Arc::new(MemoryPersistence::open(&self.0)?))
    }
}

grid_testkit::storage_conformance!(storage, Name);
grid_testkit::persistence_conformance!(persistence, Name);
