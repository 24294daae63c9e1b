//! The trait of a server's system of record.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::address::{Key, MapAddress, PartitionId};
use crate::error::{Error, ErrorKind, Result};
use crate::maybe_send::{MaybeSend, MaybeSync};
use crate::record::{History, Record, Sequence};

/// A record with the map that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressedRecord {
    /// The map.
    pub address: MapAddress,
    /// The record, with its final stamp and sequence.
    pub record: Record,
}

impl AddressedRecord {
    /// Bytes of its key and value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.record.key.as_bytes().len() + self.record.value.as_ref().map_or(0, Bytes::len)
    }
}

/// A place in the order in which [`Persistence::load`] returns records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordCursor {
    /// The map.
    pub address: MapAddress,
    /// The key.
    pub key: Key,
}

impl RecordCursor {
    /// The place of `record`.
    #[must_use]
    pub fn of(record: &AddressedRecord) -> Self {
        Self {
            address: record.address.clone(),
            key: record.record.key.clone(),
        }
    }
}

/// Part of a partition, ordered by namespace, map and key, each by bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordPage {
    /// The records, tombstones included.
    pub records: Vec<AddressedRecord>,
    /// Whether the partition may hold more records after these.
    pub more: bool,
}

/// What a partition remembers beside its records, as of one point in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// The line of sequences.
    pub history: History,
    /// The last sequence that is contained.
    pub sequence: Sequence,
    /// The rest, opaque to the backend: dedup table, clock bound, journal position.
    pub data: Bytes,
}

impl StateRecord {
    /// Checks that a backend takes it whose [`PersistenceCapabilities::max_state_bytes`] are
    /// `most`.
    ///
    /// # Errors
    /// `TooLarge` when it does not.
    pub fn check_size(&self, most: usize) -> Result<()> {
        let bytes = self.data.len();
        if bytes <= most {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::TooLarge,
            "store state record",
            format!(
                "a state record of {bytes} bytes; at most {most} are allowed. Let the server \
                 remember runs for a shorter time, or use a system of record that takes more"
            ),
        ))
    }
}

/// What a system of record can do; declared, never discovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersistenceCapabilities {
    /// Whether records and state record of one call become durable together. Without it the
    /// state record is written last, so that after a crash it may lag, never lead.
    pub transactional: bool,
    /// Whether what was stored survives the end of the process.
    pub survives_process: bool,
    /// Whether what was stored survives a power cut.
    pub survives_power_loss: bool,
    /// The largest value, in bytes.
    pub max_value_bytes: usize,
    /// The largest [`StateRecord::data`], in bytes: at least
    /// [`LEAST_STATE_BYTES`](crate::limits::LEAST_STATE_BYTES).
    pub max_state_bytes: usize,
}

/// A server's system of record.
///
/// The guard is (history, sequence): within one history a record replaces only one of a lower or
/// equal sequence, and the state record likewise, so that replaying an old batch changes nothing.
/// Of two calls at one sequence the later one decides, in every field: what a partition remembers
/// (finished runs, what was collected, how far the journal is needed) changes while no record does.
/// A record or state record of another history replaces whatever stands there; the single writer
/// makes that safe. Stamps decide nothing here.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Persistence: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// What this backend can do.
    fn capabilities(&self) -> PersistenceCapabilities;

    /// Up to `limit` (at least 1) records of `partition` after `after`, in order; fewer, with more
    /// to come, once their keys and values reach [`RECORD_PAGE_BYTES`], so that a page of any limit
    /// fits into memory.
    ///
    /// [`RECORD_PAGE_BYTES`]: crate::limits::RECORD_PAGE_BYTES
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be reached, `Corrupt` when a row is damaged.
    async fn load(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage>;

    /// The state record of `partition`, if one was ever stored.
    ///
    /// # Errors
    /// As [`Persistence::load`].
    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>>;

    /// Upserts `records` and then the state record, under the guard. A tombstone is stored as a
    /// record without value. `records` holds each key at most once.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge`, and not retryable, when a record is refused (a constraint of the
    /// user's, a bound): it will be again, and the others may land without it. `TooLarge`, and
    /// nothing is stored, when the state record exceeds `max_state_bytes`. Everything else says
    /// nothing about the records: `Unavailable`, `Timeout`, `Overloaded`, `Full`, `Locked`,
    /// `Conflict` with another transaction, or the database's state. When it fails, any part of
    /// `records` may have been stored, the state record only if all of them were; and so they may
    /// be until [`LATE_STORE_MS`] later, if no answer came.
    ///
    /// A backend bounds its calls so that this holds, with what makes the database itself give up a
    /// statement whose client is gone: what the guard would compare it with may be gone after that
    /// time, a tombstone that was collected, or the history to which it belongs.
    ///
    /// [`LATE_STORE_MS`]: crate::limits::LATE_STORE_MS
    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()>;

    /// Removes tombstones of `partition` whose sequence is at or below `horizon`.
    ///
    /// # Errors
    /// As [`Persistence::load`].
    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()>;

    /// Releases the backend; later calls fail with `Closed`, a second close does not.
    ///
    /// # Errors
    /// `Io` when the device refuses.
    async fn close(&self) -> Result<()>;
}
