//! A journal in the memory of one process, for tests and for grids that need not survive it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::mutation::{Mutation, planted};
use grid_core::traits::{Append, Epoch, Journal, JournalEntry, JournalExtent, Position};
use grid_core::{Error, ErrorKind, PartitionId, Result};

/// A journal that forgets everything when its last clone is dropped. Clones share the batches, so
/// that a server can be started again on what an earlier one wrote.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    partitions: Arc<Mutex<BTreeMap<PartitionId, Log>>>,
}

#[derive(Debug, Default)]
struct Log {
    truncated: Position,
    entries: Vec<(Epoch, Bytes)>,
    epoch: Epoch,
}

impl Log {
    fn tail(&self) -> Position {
        Position(self.truncated.0 + self.entries.len() as u64)
    }

    fn append(&mut self, append: Append) -> Result<Position> {
        let fits = append.tail == self.tail() && append.epoch >= self.epoch;
        if !fits && !planted(Mutation::AcceptStaleEpoch) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "append to journal",
                "another writer has written",
            )
            .with("partition", append.partition)
            .with("expected tail", append.tail.0)
            .with("tail", self.tail().0));
        }
        self.epoch = append.epoch;
        self.entries.push((append.epoch, append.batch));
        Ok(self.tail())
    }
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Log>> {
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Position>> {
        let mut partitions = self.lock();
        appends
            .into_iter()
            .map(|append| {
                partitions
                    .entry(append.partition)
                    .or_default()
                    .append(append)
            })
            .collect()
    }

    async fn read(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        let partitions = self.lock();
        let Some(log) = partitions.get(&partition) else {
            return Ok(Vec::new());
        };
        let skip = after.0.checked_sub(log.truncated.0).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "read journal",
                "these batches were truncated away",
            )
            .with("partition", partition)
        })?;
        let mut bytes = 0;
        let entries = log
            .entries
            .iter()
            .zip(log.truncated.0 + 1..)
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .take_while(|((_, batch), _)| {
                let fits = bytes == 0 || bytes < max_bytes;
                bytes += batch.len();
                fits
            })
            .map(|((epoch, batch), position)| JournalEntry {
                position: Position(position),
                epoch: *epoch,
                batch: batch.clone(),
            })
            .collect();
        Ok(entries)
    }

    async fn extent(&self, partition: PartitionId) -> Result<JournalExtent> {
        let partitions = self.lock();
        Ok(partitions
            .get(&partition)
            .map(|log| JournalExtent {
                truncated: log.truncated,
                tail: log.tail(),
                epoch: log.epoch,
            })
            .unwrap_or_default())
    }

    async fn truncate(&self, partition: PartitionId, through: Position) -> Result<()> {
        if let Some(log) = self.lock().get_mut(&partition) {
            let through = through.min(log.tail());
            let drop = through.0.saturating_sub(log.truncated.0);
            log.entries
                .drain(..usize::try_from(drop).unwrap_or(usize::MAX));
            log.truncated = log.truncated.max(through);
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::now;

    const ID: PartitionId = PartitionId(3);

    fn append(journal: &MemoryJournal, tail: u64, epoch: u64, batch: &'static str) -> Result<u64> {
        let append = Append {
            partition: ID,
            epoch: Epoch(epoch),
            tail: Position(tail),
            batch: batch.into(),
        };
        now(journal.append(vec![append])).remove(0).map(|p| p.0)
    }

    #[test]
    fn an_append_names_the_tail_and_is_fenced_by_epochs() {
        let journal = MemoryJournal::new();
        assert_eq!(append(&journal, 0, 1, "a").unwrap(), 1);
        let stale = append(&journal, 0, 1, "b").unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Conflict);
        assert_eq!(append(&journal, 1, 2, "b").unwrap(), 2);
        let fenced = append(&journal, 2, 1, "c").unwrap_err();
        assert_eq!(fenced.kind(), ErrorKind::Conflict);
        let extent = now(journal.extent(ID)).unwrap();
        assert_eq!((extent.tail, extent.epoch), (Position(2), Epoch(2)));
    }

    #[test]
    fn what_was_truncated_is_gone_and_the_rest_keeps_its_positions() {
        let journal = MemoryJournal::new();
        for (tail, batch) in (0..).zip(["a", "b", "c"]) {
            append(&journal, tail, 1, batch).unwrap();
        }
        now(journal.truncate(ID, Position(2))).unwrap();
        now(journal.truncate(ID, Position(1))).unwrap();
        let error = now(journal.read(ID, Position(1), 100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let rest = now(journal.read(ID, Position(2), 100)).unwrap();
        assert_eq!(rest.len(), 1);
        assert_eq!(
            (rest[0].position, &rest[0].batch[..]),
            (Position(3), &b"c"[..])
        );
        let two = now(journal.read(ID, Position(3), 100)).unwrap();
        assert_eq!(two, []);
        assert_eq!(append(&journal, 3, 1, "d").unwrap(), 4);
    }

    #[test]
    fn a_read_stops_at_about_the_bytes_asked_for_but_gives_one_batch_at_least() {
        let journal = MemoryJournal::new();
        for (tail, batch) in (0..).zip(["aaaa", "bbbb", "cccc"]) {
            append(&journal, tail, 1, batch).unwrap();
        }
        assert_eq!(now(journal.read(ID, Position(0), 1)).unwrap().len(), 1);
        assert_eq!(now(journal.read(ID, Position(0), 5)).unwrap().len(), 2);
        assert_eq!(now(journal.read(ID, Position(1), 100)).unwrap().len(), 2);
    }
}
