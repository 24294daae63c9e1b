//! A journal and a persistence that fail as they are told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use grid_core::traits::{
    AddressedRecord, Append, Journal, JournalEntry, JournalExtent, Persistence,
    PersistenceCapabilities, Position, RecordCursor, RecordPage, StateRecord,
};
use grid_core::{Error, ErrorKind, PartitionId, Result, Sequence};
use grid_server::MemoryJournal;
use grid_storage_memory::MemoryPersistence;

/// What a journal does with an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Well = 0,
    /// Nothing is written.
    Full = 1,
    /// It is written, and nobody is told.
    SilentlyWritten = 2,
    /// It is not written, and nobody is told.
    SilentlyLost = 3,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyJournal {
    inner: MemoryJournal,
    mode: Arc<AtomicU64>,
    pub(crate) appends: Arc<AtomicU64>,
    pub(crate) unreadable: Arc<AtomicBool>,
}

impl FaultyJournal {
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u64, Ordering::SeqCst);
    }
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Position>> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        let answers = appends.len();
        let fail = |kind| {
            (0..answers)
                .map(|_| Err(Error::new(kind, "append", "told to fail")))
                .collect()
        };
        match self.mode.load(Ordering::SeqCst) {
            0 => self.inner.append(appends).await,
            1 => fail(ErrorKind::Full),
            2 => {
                let _ = self.inner.append(appends).await;
                fail(ErrorKind::Timeout)
            }
            _ => fail(ErrorKind::Timeout),
        }
    }

    async fn read(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "read", "told to fail"));
        }
        self.inner.read(partition, after, max_bytes).await
    }

    async fn extent(&self, partition: PartitionId) -> Result<JournalExtent> {
        self.inner.extent(partition).await
    }

    async fn truncate(&self, partition: PartitionId, through: Position) -> Result<()> {
        self.inner.truncate(partition, through).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

/// A persistence whose stores fail while it is told so, and that says it survives a power cut.
#[derive(Debug, Default)]
pub(crate) struct FaultyPersistence {
    inner: MemoryPersistence,
    pub(crate) fails: AtomicBool,
    /// Nothing can be loaded.
    pub(crate) unreadable: AtomicBool,
    /// It says that it survives the process only.
    pub(crate) is_lazy: AtomicBool,
    /// The stores that succeed before all fail; 0 means all.
    pub(crate) succeeds: AtomicU64,
    pub(crate) stores: AtomicU64,
    /// Stores wait while somebody holds it.
    pub(crate) gate: tokio::sync::Mutex<()>,
    pub(crate) records: AtomicU64,
}

impl FaultyPersistence {
    /// A backup, which does not fail.
    pub(crate) fn copy(&self) -> Self {
        Self {
            inner: self.inner.copy(),
            ..Self::default()
        }
    }
}

#[async_trait]
impl Persistence for FaultyPersistence {
    fn capabilities(&self) -> PersistenceCapabilities {
        PersistenceCapabilities {
            survives_process: true,
            survives_power_loss: !self.is_lazy.load(Ordering::SeqCst),
            ..self.inner.capabilities()
        }
    }

    async fn load(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "load", "told to fail"));
        }
        self.inner.load(partition, after, limit).await
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        self.inner.load_state(partition).await
    }

    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        self.stores.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.lock().await;
        let left = self.succeeds.load(Ordering::SeqCst);
        if left == 1 {
            self.fails.store(true, Ordering::SeqCst);
        }
        self.succeeds
            .store(left.saturating_sub(1), Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "store", "told to fail"));
        }
        self.records
            .fetch_add(records.len() as u64, Ordering::SeqCst);
        self.inner.store(partition, records, state).await
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        self.inner.collect(partition, horizon).await
    }

    async fn close(&self) -> Result<()> {
        // Another server is started on it.
        Ok(())
    }
}
