//! The system of record in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;
use grid_core::limits::RECORD_PAGE_BYTES;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, StateRecord,
};
use grid_core::{History, PartitionId, Record, Result, Sequence};

use crate::error;
use crate::place::{Named, Opening};
use crate::{MAX_STATE_BYTES, MAX_VALUE_BYTES};

type Partitions = BTreeMap<PartitionId, Partition>;

static PLACES: Named<Partitions> = Mutex::new(BTreeMap::new());

#[derive(Debug, Clone, Default)]
struct Partition {
    records: BTreeMap<RecordCursor, Stored>,
    state: Option<StateRecord>,
}

#[derive(Debug, Clone)]
struct Stored {
    history: History,
    record: Record,
}

/// A server's system of record in memory.
///
/// ```
/// use grid_core::traits::Persistence;
/// use grid_storage_memory::MemoryPersistence;
///
/// let records = MemoryPersistence::new();
/// assert!(records.capabilities().transactional);
/// ```
#[derive(Debug)]
pub struct MemoryPersistence {
    opening: Opening<Partitions>,
}

impl MemoryPersistence {
    /// A fresh, empty system of record.
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

    /// Opens the same place again as after a crash of its owner: everything whose `store`
    /// returned is there, and this opening answers `Closed` from now on.
    #[must_use]
    pub fn take_over(&self) -> Self {
        Self {
            opening: self.opening.take_over(),
        }
    }

    /// A system of record of its own that holds what this one holds now: a backup.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            opening: self.opening.copy(),
        }
    }
}

impl Default for MemoryPersistence {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Persistence for MemoryPersistence {
    fn capabilities(&self) -> PersistenceCapabilities {
        PersistenceCapabilities {
            transactional: true,
            survives_process: false,
            survives_power_loss: false,
            max_value_bytes: MAX_VALUE_BYTES,
            max_state_bytes: MAX_STATE_BYTES,
        }
    }

    async fn load(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        self.opening.with("load records", |partitions| {
            let Some(partition) = partitions.get(&partition) else {
                return Ok(RecordPage::default());
            };
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let range = partition
                .records
                .range::<RecordCursor, _>((start, Bound::Unbounded));
            let mut page = RecordPage::default();
            let mut bytes = 0;
            for (cursor, stored) in range {
                if page.records.len() == limit.max(1) || bytes >= RECORD_PAGE_BYTES {
                    page.more = true;
                    break;
                }
                let record = AddressedRecord {
                    address: cursor.address.clone(),
                    record: stored.record.clone(),
                };
                bytes += record.bytes();
                page.records.push(record);
            }
            Ok(page)
        })
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        self.opening.with("load state", |partitions| {
            Ok(partitions
                .get(&partition)
                .and_then(|partition| partition.state.clone()))
        })
    }

    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        self.opening.with("store records", |partitions| {
            state.check_size(MAX_STATE_BYTES)?;
            for record in records {
                let bytes = record.record.value.as_ref().map_or(0, bytes::Bytes::len);
                if bytes > MAX_VALUE_BYTES {
                    return Err(error::too_large("store records", bytes));
                }
            }
            let partition = partitions.entry(partition).or_default();
            for record in records {
                partition.upsert(record, state.history);
            }
            partition.advance(state);
            Ok(())
        })
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        self.opening.with("collect tombstones", |partitions| {
            if let Some(partition) = partitions.get_mut(&partition) {
                partition.records.retain(|_, stored| {
                    !stored.record.is_tombstone() || stored.record.sequence > horizon
                });
            }
            Ok(())
        })
    }

    async fn close(&self) -> Result<()> {
        self.opening.close();
        Ok(())
    }
}

impl Partition {
    fn upsert(&mut self, record: &AddressedRecord, history: History) {
        let cursor = RecordCursor {
            address: record.address.clone(),
            key: record.record.key.clone(),
        };
        let newer_stands = self.records.get(&cursor).is_some_and(|stored| {
            stored.history == history && stored.record.sequence > record.record.sequence
        });
        if !newer_stands {
            let record = record.record.clone();
            self.records.insert(cursor, Stored { history, record });
        }
    }

    fn advance(&mut self, state: &StateRecord) {
        let newer_stands = self.state.as_ref().is_some_and(|stored| {
            stored.history == state.history && stored.sequence > state.sequence
        });
        if !newer_stands {
            self.state = Some(state.clone());
        }
    }
}
