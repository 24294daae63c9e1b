//! The trait of a client's local store.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::address::MapName;
use crate::error::Result;
use crate::maybe_send::{MaybeSend, MaybeSync};

/// One of the ordered tables of a local store. Keys and values are opaque bytes to the backend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Small named facts: identity, clock, cursors, a leader's term.
    Meta,
    /// The outbox: packed pending ops by run and number.
    Log,
    /// The confirmed records of one map, by key.
    Records(MapName),
}

/// One change of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the value of a key.
    Put {
        /// Where.
        table: Table,
        /// The key, at least one byte.
        key: Bytes,
        /// The value, possibly empty.
        value: Bytes,
    },
    /// Removes a key; absent is fine.
    Delete {
        /// Where.
        table: Table,
        /// The key.
        key: Bytes,
    },
    /// Removes every key at or after `from` and before `to`; `None` means to the table's end.
    DeleteRange {
        /// Where.
        table: Table,
        /// The first key of the range; empty means the table's start.
        from: Bytes,
        /// The first key after the range.
        to: Option<Bytes>,
    },
}

/// What must hold for a [`Batch`] to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// A key of [`Table::Meta`].
    pub key: Bytes,
    /// Its value now; `None` means absent.
    pub equals: Option<Bytes>,
}

/// Changes that happen together or not at all, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// If given and it does not hold, nothing happens and the call fails with `Conflict`.
    pub precondition: Option<Precondition>,
    /// The changes; a later one on the same key wins.
    pub writes: Vec<Write>,
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
}

/// Part of a table, in the byte order of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether the table may hold more entries after these.
    pub more: bool,
}

/// What a local store can do; declared, never discovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageCapabilities {
    /// Whether a batch that returned survives the end of the process.
    pub survives_process: bool,
    /// Whether a batch that returned survives a power cut.
    pub survives_power_loss: bool,
    /// Whether a second opening of the same URL is refused while the first lives.
    pub exclusive: bool,
    /// The largest value, in bytes.
    pub max_value_bytes: usize,
}

/// A client's local store: a few ordered tables of bytes, changed by atomic batches.
///
/// There is no interactive transaction, because IndexedDB commits on its own when control returns
/// to the event loop.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Storage: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// What this store can do.
    fn capabilities(&self) -> StorageCapabilities;

    /// The value of one key.
    ///
    /// # Errors
    /// `Corrupt` when the store is damaged, `Closed` after [`Storage::close`].
    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>>;

    /// Up to `limit` (at least 1) entries whose keys come after `after` (`None`: from the start),
    /// in byte order.
    ///
    /// # Errors
    /// As [`Storage::get`].
    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page>;

    /// Applies the batch as one: when it returns, all of it is as durable as the capabilities
    /// say, and when it fails, none of it happened.
    ///
    /// # Errors
    /// `Conflict` when the precondition does not hold, `Full` when there is no room, `TooLarge`
    /// when a value exceeds the declared bound.
    async fn apply(&self, batch: Batch) -> Result<()>;

    /// Returns when everything applied before is as durable as the store can make it.
    ///
    /// # Errors
    /// `Full` or `Io` when the device refuses.
    async fn flush(&self) -> Result<()>;

    /// Flushes and releases the store; later calls fail with `Closed`, a second close does not.
    ///
    /// # Errors
    /// As [`Storage::flush`].
    async fn close(&self) -> Result<()>;
}
