//! The local store in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::Result;
use grid_core::traits::{Batch, Page, Storage, StorageCapabilities, Table};

use crate::MAX_VALUE_BYTES;
use crate::place::{Named, Opening};
use crate::tables::Tables;

static PLACES: Named<Tables> = Mutex::new(BTreeMap::new());

/// A client's local store in memory.
///
/// ```
/// use grid_core::traits::Storage;
/// use grid_storage_memory::MemoryStorage;
///
/// let store = MemoryStorage::open("memory:notes")?;
/// assert!(MemoryStorage::open("memory:notes").is_err()); // one owner at a time
/// drop(store);
/// let store = MemoryStorage::open("memory:notes")?; // what was stored is still there
/// assert!(!store.capabilities().survives_process);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryStorage {
    opening: Opening<Tables>,
}

impl MemoryStorage {
    /// A fresh, empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            opening: Opening::fresh(),
        }
    }

    /// Opens `memory:` (fresh and empty) or `memory:NAME` (as the last opening left it).
    ///
    /// # Errors
    /// `Locked` when another opening of the name lives, `Invalid` for another scheme.
    pub fn open(url: &str) -> Result<Self> {
        Ok(Self {
            opening: Opening::open(url, &PLACES)?,
        })
    }

    /// Opens the same place again as after a crash of its owner: every batch that returned is
    /// there, and this opening answers `Closed` from now on.
    #[must_use]
    pub fn take_over(&self) -> Self {
        Self {
            opening: self.opening.take_over(),
        }
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Storage for MemoryStorage {
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities {
            survives_process: false,
            survives_power_loss: false,
            exclusive: self.opening.is_named(),
            max_value_bytes: MAX_VALUE_BYTES,
        }
    }

    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>> {
        self.opening
            .with("get", |tables| Ok(tables.get(table, key).cloned()))
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        self.opening
            .with("scan", |tables| Ok(tables.scan(table, after, limit)))
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        self.opening
            .with("apply batch", |tables| tables.apply(batch))
    }

    async fn flush(&self) -> Result<()> {
        self.opening.with("flush", |_| Ok(()))
    }

    async fn close(&self) -> Result<()> {
        self.opening.close();
        Ok(())
    }
}
