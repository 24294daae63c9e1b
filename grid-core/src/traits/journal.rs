//! The trait of a server's durable journal.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::address::PartitionId;
use crate::error::Result;
use crate::maybe_send::{MaybeSend, MaybeSync};

/// The number of one ownership of a partition; a later owner has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// Where a batch stands in its partition's journal: 1, 2, 3, …; 0 is "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One batch to append to one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The partition.
    pub partition: PartitionId,
    /// The epoch of the writer.
    pub epoch: Epoch,
    /// The position of the batch that the writer wrote last, or read last.
    pub tail: Position,
    /// The batch.
    pub batch: Bytes,
}

/// One batch as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Where it stands.
    pub position: Position,
    /// The epoch of its writer.
    pub epoch: Epoch,
    /// The batch.
    pub batch: Bytes,
}

/// What a partition's journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalExtent {
    /// Every batch at or below this one was truncated away.
    pub truncated: Position,
    /// The last batch; equal to `truncated` when the journal is empty.
    pub tail: Position,
    /// The highest epoch that has appended.
    pub epoch: Epoch,
}

/// A durable log of batches per partition, with a fence: an append names the tail it expects.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Journal: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// Appends each batch to its partition and returns when all that succeeded are durable; one
    /// result for each, in order, with the batch's position.
    ///
    /// # Errors
    /// Each on its own: `Conflict` when the tail or the epoch is not what the writer believed
    /// (nothing was appended), `Full` when there is no room or `Io` when the device refused
    /// (nothing was appended, a retry may work), `TooLarge` when the batch exceeds the journal's
    /// bound, `Timeout` when the outcome is unknown: read the tail again.
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Position>>;

    /// Batches of `partition` after `after`, in order, until about `max_bytes` are reached; at
    /// least one if there is one. Empty at the tail.
    ///
    /// # Errors
    /// `NotFound` when `after` lies below what was truncated, `Corrupt` when a batch is damaged.
    async fn read(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>>;

    /// What the journal of `partition` holds.
    ///
    /// # Errors
    /// `Unavailable` when the journal cannot be reached.
    async fn extent(&self, partition: PartitionId) -> Result<JournalExtent>;

    /// Allows the journal to forget the batches of `partition` up to `through`. It may keep them
    /// longer.
    ///
    /// # Errors
    /// `Unavailable` when the journal cannot be reached.
    async fn truncate(&self, partition: PartitionId, through: Position) -> Result<()>;

    /// Releases the journal; later calls fail with `Closed`, a second close does not. A server that
    /// is answered so before it has closed its journal ends: nothing it takes could be kept.
    ///
    /// # Errors
    /// `Io` when the device refuses.
    async fn close(&self) -> Result<()>;
}
