//! The journal that several servers share: calls take simulated time, fail, and end with the
//! caller's power.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use grid_core::partition::Effects;
use grid_core::traits::{Append, Journal, JournalEntry, JournalExtent, Position};
use grid_core::{Error, ErrorKind, PartitionId, Result, Sequence};
use grid_server::MemoryJournal;

use super::event::{Event, EventLog};
use super::medium::Medium;
use crate::sim::PartyId;

/// Appends that will fail: each with which of the next it is, and whether it is written all the
/// same. Of two that are due at once, one waits for the append after.
#[derive(Debug, Clone, Default)]
pub(super) struct AppendFaults(Arc<Mutex<Vec<(u64, bool)>>>);

impl AppendFaults {
    /// The `nth` append from now on (1 is the very next) has an unknown outcome: it is `written`,
    /// or it is not.
    pub(super) fn add(&self, nth: u64, written: bool) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push((nth.max(1), written));
    }

    /// All is well again.
    pub(super) fn mend(&self) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.clear();
    }

    /// Whether the append of this moment fails, and if so, whether it is written.
    fn next(&self) -> Option<bool> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (left, _) in faults.iter_mut() {
            *left = left.saturating_sub(1);
        }
        let due = faults.iter().position(|(left, _)| *left == 0)?;
        Some(faults.swap_remove(due).1)
    }
}

/// One server's way to the journal.
#[derive(Debug)]
pub(super) struct SharedJournal {
    pub(super) inner: MemoryJournal,
    pub(super) medium: Medium,
    pub(super) server: PartyId,
    pub(super) faults: AppendFaults,
    pub(super) events: EventLog,
}

impl SharedJournal {
    async fn write(&self, appends: Vec<Append>) -> Vec<Result<Position>> {
        let written: Vec<Option<Event>> = appends.iter().map(|one| self.event(one)).collect();
        let positions = self.inner.append(appends).await;
        for (event, position) in written.into_iter().zip(&positions) {
            if let (Some(event), Ok(_)) = (event, position) {
                self.events.emit(event);
            }
        }
        positions
    }

    /// What an append is, if it is of a partition.
    fn event(&self, append: &Append) -> Option<Event> {
        let effects = Effects::decode(&append.batch).ok()?;
        let through = effects.sequence_after();
        let records = effects.records().len() as u64 + u64::from(effects.begins_epoch());
        Some(Event::Journalled {
            server: self.server,
            partition: append.partition,
            epoch: append.epoch,
            after: Sequence(through.0.saturating_sub(records)),
            through,
            begins_epoch: effects.begins_epoch(),
        })
    }
}

#[async_trait]
impl Journal for SharedJournal {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Position>> {
        let count = appends.len();
        if let Err(error) = self.medium.begin("append to journal").await {
            return (0..count).map(|_| Err(error.share())).collect();
        }
        let fault = self.faults.next();
        let positions = match fault {
            Some(false) => Vec::new(),
            _ => self.write(appends).await,
        };
        self.medium.end("appended to journal").await;
        if fault.is_none() {
            return positions;
        }
        let unknown = || {
            let message = "the simulated journal did not answer; read its tail";
            Err(Error::new(ErrorKind::Timeout, "append to journal", message))
        };
        (0..count).map(|_| unknown()).collect()
    }

    async fn read(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        self.medium.begin("read journal").await?;
        self.inner.read(partition, after, max_bytes).await
    }

    async fn extent(&self, partition: PartitionId) -> Result<JournalExtent> {
        self.medium.begin("read extent of journal").await?;
        self.inner.extent(partition).await
    }

    async fn truncate(&self, partition: PartitionId, through: Position) -> Result<()> {
        self.medium.begin("truncate journal").await?;
        self.inner.truncate(partition, through).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_are_due_at_once_hit_one_append_each() {
        let faults = AppendFaults::default();
        faults.add(2, true);
        faults.add(3, false);
        assert_eq!(faults.next(), None);
        faults.add(1, false);
        let hit: Vec<Option<bool>> = (0..4).map(|_| faults.next()).collect();
        let written = hit.iter().filter(|fault| **fault == Some(true)).count();
        let lost = hit.iter().filter(|fault| **fault == Some(false)).count();
        assert_eq!((written, lost), (1, 2), "{hit:?}");
        assert_eq!(hit.last(), Some(&None));
    }
}
