//! The servers' system of record in the simulated world.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, StateRecord,
};
use grid_core::{PartitionId, Result, Sequence};
use grid_storage_memory::MemoryPersistence;

use super::event::{Event, EventLog};
use super::medium::Medium;

/// A database that outlives the servers.
///
/// Implement it to run a persistence of your own in the simulator.
pub trait Database: Send + fmt::Debug {
    /// Connects a server that starts.
    ///
    /// # Errors
    /// What keeps it from connecting, in words; ends the run as failed.
    fn connect(&mut self) -> std::result::Result<Arc<dyn Persistence>, String>;

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
    fn connect(&mut self) -> std::result::Result<Arc<dyn Persistence>, String> {
        // Several servers may be connected at once; one that crashed does nothing any more.
        Ok(self.0.clone())
    }

    fn copy(&self) -> Option<Box<dyn Database>> {
        Some(Box::new(Self(Arc::new(self.0.copy()))))
    }
}

/// A persistence whose calls take simulated time, fail, and end with the server's power.
#[derive(Debug)]
pub(super) struct SimPersistence {
    inner: Arc<dyn Persistence>,
    medium: Medium,
    events: EventLog,
}

impl SimPersistence {
    pub(super) fn new(inner: Arc<dyn Persistence>, medium: Medium, events: EventLog) -> Self {
        Self {
            inner,
            medium,
            events,
        }
    }
}

#[async_trait]
impl Persistence for SimPersistence {
    fn capabilities(&self) -> PersistenceCapabilities {
        // A database outlives the servers, whatever it is made of: journals may rely on it.
        PersistenceCapabilities {
            survives_process: true,
            survives_power_loss: true,
            ..self.inner.capabilities()
        }
    }

    async fn load(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        self.medium.begin("load records").await?;
        self.inner.load(partition, after, limit).await
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        self.medium.begin("load state").await?;
        self.inner.load_state(partition).await
    }

    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        let told = |stored: Result<()>| {
            self.events.emit(Event::Stored {
                by: self.medium.party(),
                partition,
                records: records.len(),
                through: state.sequence,
                error: stored.as_ref().err().map(ToString::to_string),
            });
            stored
        };
        let begun = self.medium.begin("store records").await;
        begun.or_else(|error| told(Err(error)))?;
        let stored = told(self.inner.store(partition, records, state).await);
        self.medium.end("records stored").await;
        stored
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        self.medium.begin("collect tombstones").await?;
        self.inner.collect(partition, horizon).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
