//! A journal and a persistence that fail as they are told to.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use grid_core::traits::{
    AddressedRecord, Append, Journal, JournalEntry, Persistence, PersistenceCapabilities, Position,
    RecordCursor, RecordPage, StateRecord,
};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use grid_server::MemoryJournal;
use grid_storage_memory::MemoryPersistence;
use grid_testkit::hooks::{
    HookedJournal, HookedPersistence, JournalHooks, PersistenceHooks, lasting,
};

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

/// A journal in memory that fails as it is told to.
pub(crate) type FaultyJournal = HookedJournal<JournalFaults>;

#[derive(Debug, Default)]
pub(crate) struct JournalFaults {
    mode: AtomicU64,
    pub(crate) appends: AtomicU64,
    pub(crate) unreadable: AtomicBool,
}

pub(crate) fn faulty_journal() -> Arc<FaultyJournal> {
    let memory = Arc::new(MemoryJournal::new());
    Arc::new(HookedJournal::new(memory, JournalFaults::default()))
}

impl JournalFaults {
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u64, Ordering::SeqCst);
    }
}

#[async_trait]
impl JournalHooks for JournalFaults {
    async fn append(&self, inner: &dyn Journal, appends: Vec<Append>) -> Vec<Result<Position>> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        let answers = appends.len();
        let fail = |kind| {
            (0..answers)
                .map(|_| Err(Error::new(kind, "append", "told to fail")))
                .collect()
        };
        match self.mode.load(Ordering::SeqCst) {
            0 => inner.append(appends).await,
            1 => fail(ErrorKind::Full),
            2 => {
                let _ = inner.append(appends).await;
                fail(ErrorKind::Timeout)
            }
            _ => fail(ErrorKind::Timeout),
        }
    }

    async fn read(
        &self,
        inner: &dyn Journal,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "read", "told to fail"));
        }
        inner.read(partition, after, max_bytes).await
    }
}

/// A persistence in memory whose stores fail while it is told so, and that says it survives a
/// power cut.
pub(crate) type FaultyPersistence = HookedPersistence<PersistenceFaults>;

#[derive(Debug, Default)]
pub(crate) struct PersistenceFaults {
    memory: Arc<MemoryPersistence>,
    pub(crate) fails: AtomicBool,
    /// Nothing can be loaded.
    pub(crate) unreadable: AtomicBool,
    /// Whoever loads gets no answer.
    pub(crate) hangs: AtomicBool,
    /// It cannot be reached at all.
    pub(crate) away: AtomicBool,
    /// The state records that are told before it is away; 0 means all.
    pub(crate) states: AtomicU64,
    /// It does not let the server in.
    pub(crate) locked: AtomicBool,
    /// It says that it survives the process only.
    pub(crate) is_lazy: AtomicBool,
    /// The stores that succeed before all fail; 0 means all.
    pub(crate) succeeds: AtomicU64,
    pub(crate) stores: AtomicU64,
    /// Records that were loaded.
    pub(crate) loaded: AtomicU64,
    /// Stores wait while somebody holds it.
    pub(crate) gate: tokio::sync::Mutex<()>,
    pub(crate) records: AtomicU64,
    /// Keys of which no version is taken, as of a table with a constraint that they break.
    pub(crate) refused: Mutex<BTreeSet<&'static str>>,
    /// No version of any entry is taken; dead letters are.
    pub(crate) refuses_all: AtomicBool,
}

pub(crate) fn faulty_persistence() -> Arc<FaultyPersistence> {
    faulty(Arc::new(MemoryPersistence::new()))
}

fn faulty(memory: Arc<MemoryPersistence>) -> Arc<FaultyPersistence> {
    let faults = PersistenceFaults {
        memory,
        ..PersistenceFaults::default()
    };
    Arc::new(HookedPersistence::new(
        lasting(faults.memory.clone()),
        faults,
    ))
}

impl PersistenceFaults {
    /// A backup, which does not fail.
    pub(crate) fn copy(&self) -> Arc<FaultyPersistence> {
        faulty(Arc::new(self.memory.copy()))
    }

    fn reach(&self) -> Result<()> {
        if self.locked.load(Ordering::SeqCst) {
            let message = "user or password";
            return Err(Error::new(ErrorKind::Unauthorized, "connect", message));
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "connect",
                "nobody answers",
            ));
        }
        Ok(())
    }

    fn check(&self, records: &[AddressedRecord]) -> Result<()> {
        let refused = self.refused.lock().unwrap();
        let is_refused = |each: &&AddressedRecord| {
            let is_entry = each.address.map.as_str() != "$dead-letters";
            is_entry && self.refuses_all.load(Ordering::SeqCst)
                || refused.contains(each.record.key.as_str())
        };
        match records.iter().find(is_refused) {
            Some(each) => {
                let message = format!("a constraint forbids {}", each.record.key);
                Err(Error::new(ErrorKind::Invalid, "store", message))
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl PersistenceHooks for PersistenceFaults {
    fn capabilities(&self, inner: &dyn Persistence) -> PersistenceCapabilities {
        PersistenceCapabilities {
            survives_power_loss: !self.is_lazy.load(Ordering::SeqCst),
            ..inner.capabilities()
        }
    }

    async fn load(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        self.reach()?;
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "load", "told to fail"));
        }
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let page = inner.load(partition, after, limit).await?;
        self.loaded
            .fetch_add(page.records.len() as u64, Ordering::SeqCst);
        Ok(page)
    }

    async fn load_state(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
    ) -> Result<Option<StateRecord>> {
        self.reach()?;
        let left = self.states.load(Ordering::SeqCst);
        self.states.store(left.saturating_sub(1), Ordering::SeqCst);
        if left == 1 {
            self.away.store(true, Ordering::SeqCst);
        }
        inner.load_state(partition).await
    }

    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        self.reach()?;
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
        self.check(records)?;
        self.records
            .fetch_add(records.len() as u64, Ordering::SeqCst);
        inner.store(partition, records, state).await
    }
}
