//! The servers' system of record in the simulated world.

use std::fmt;
use std::sync::Arc;

use grid_core::traits::Persistence;
use grid_storage_memory::MemoryPersistence;

/// A database that outlives the servers.
///
/// Implement it to run a persistence of your own in the simulator.
pub trait Database: Send + fmt::Debug {
    /// Connects a server that starts.
    ///
    /// # Errors
    /// What keeps it from connecting, in words; ends the run as failed.
    fn connect(&mut self) -> Result<Arc<dyn Persistence>, String>;

    /// A database of its own that holds what this one holds now: a backup. Without one, the faults
    /// that need backups do nothing.
    fn copy(&self) -> Option<Box<dyn Database>> {
        None
    }
}

/// A database in memory.
#[derive(Debug)]
pub struct MemoryDatabase(Arc<MemoryPersistence>);

impl MemoryDatabase {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(MemoryPersistence::new()))
    }
}

impl Default for MemoryDatabase {
    fn default() -> Self {
        Self::new()
    }
}

impl Database for MemoryDatabase {
    fn connect(&mut self) -> Result<Arc<dyn Persistence>, String> {
        // Several servers may be connected at once; one that crashed does nothing any more.
        Ok(self.0.clone())
    }

    fn copy(&self) -> Option<Box<dyn Database>> {
        Some(Box::new(Self(Arc::new(self.0.copy()))))
    }
}
