//! How much of one partition may wait for the database.

use grid_core::mutation::{Mutation, planted};
use grid_core::{Error, ErrorKind, Result};

use crate::config::Settings;
use crate::partition_service::Owned;

/// How much of one partition may wait for the database before its clients have to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BacklogBound {
    /// Changes.
    records: u64,
    /// Bytes of journal batches.
    bytes: u64,
}

/// How much more may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Ops, as large as those that wait are.
    pub(crate) ops: u64,
    /// Whether less waits than half of what may.
    pub(crate) is_ample: bool,
    /// Whether nothing waits.
    pub(crate) is_empty: bool,
}

impl BacklogBound {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            records: settings.backlog_records as u64,
            bytes: settings.backlog_bytes,
        }
    }

    /// How much more may wait.
    pub(crate) fn room(&self, owned: &Owned) -> Room {
        let (records, bytes) = (owned.backlog(), owned.backing.waiting_bytes());
        let size = bytes.checked_div(records).unwrap_or(0).max(1);
        let left = self.records.saturating_sub(records);
        Room {
            ops: left.min(self.bytes.saturating_sub(bytes) / size),
            is_ample: records <= self.records / 2 && bytes <= self.bytes / 2,
            is_empty: records == 0,
        }
    }

    /// # Errors
    /// `Overloaded` when as much waits as may.
    pub(crate) fn check(&self, owned: &Owned) -> Result<()> {
        let (records, bytes) = (owned.backlog(), owned.backing.waiting_bytes());
        let fits = records < self.records && bytes < self.bytes;
        if fits || planted(Mutation::UnboundedBacklog) {
            return Ok(());
        }
        let message = format!("{records} changes ({bytes} bytes) wait for the database; try again");
        let error = Error::new(ErrorKind::Overloaded, "decide", message);
        Err(error.with("partition", owned.partition.id()))
    }
}
