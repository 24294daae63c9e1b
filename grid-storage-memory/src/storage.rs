//! The local store in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::traits::{Batch, Entry, Page, Storage, StorageCapabilities, Table, Write};
use grid_core::{Error, ErrorKind, Result};

use crate::MAX_VALUE_BYTES;
use crate::error;
use crate::place::{Named, Opening};

type Rows = BTreeMap<Bytes, Bytes>;
type Tables = BTreeMap<Table, Rows>;

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
        self.opening.with("get", |tables| {
            Ok(tables.get(table).and_then(|rows| rows.get(key)).cloned())
        })
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        self.opening.with("scan", |tables| {
            let Some(rows) = tables.get(table) else {
                return Ok(Page::default());
            };
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut range = rows.range::<[u8], _>((start, Bound::Unbounded));
            let entries: Vec<Entry> = range
                .by_ref()
                .take(limit.max(1))
                .map(|(key, value)| Entry {
                    key: key.clone(),
                    value: value.clone(),
                })
                .collect();
            Ok(Page {
                entries,
                more: range.next().is_some(),
            })
        })
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        self.opening.with("apply batch", |tables| {
            check(&batch, tables)?;
            for write in batch.writes {
                change(tables, write);
            }
            Ok(())
        })
    }

    async fn flush(&self) -> Result<()> {
        self.opening.with("flush", |_| Ok(()))
    }

    async fn close(&self) -> Result<()> {
        self.opening.close();
        Ok(())
    }
}

fn check(batch: &Batch, tables: &Tables) -> Result<()> {
    for write in &batch.writes {
        if let Write::Put { value, .. } = write
            && value.len() > MAX_VALUE_BYTES
        {
            return Err(error::too_large("apply batch", value.len()));
        }
    }
    let Some(precondition) = &batch.precondition else {
        return Ok(());
    };
    let now = tables
        .get(&Table::Meta)
        .and_then(|rows| rows.get(&precondition.key));
    if now == precondition.equals.as_ref() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        "apply batch",
        "the precondition does not hold; read the key again",
    )
    .with("key", precondition.key.escape_ascii()))
}

fn change(tables: &mut Tables, write: Write) {
    match write {
        Write::Put { table, key, value } => {
            // A value cut out of a frame must not keep the frame alive for as long as it lives.
            let (key, value) = (Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
            tables.entry(table).or_default().insert(key, value);
        }
        Write::Delete { table, key } => {
            if let Some(rows) = tables.get_mut(&table) {
                rows.remove(&key);
            }
        }
        Write::DeleteRange { table, from, to } => {
            if let Some(rows) = tables.get_mut(&table) {
                remove_range(rows, &from, to.as_ref());
            }
        }
    }
}

fn remove_range(rows: &mut Rows, from: &Bytes, to: Option<&Bytes>) {
    if to.is_some_and(|to| to <= from) {
        return;
    }
    let end = to.cloned().map_or(Bound::Unbounded, Bound::Excluded);
    rows.extract_if((Bound::Included(from.clone()), end), |_, _| true)
        .for_each(drop);
}
