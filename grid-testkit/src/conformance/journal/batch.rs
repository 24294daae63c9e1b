//! What the cases share: short ways to append and to read.

use bytes::Bytes;
use grid_core::traits::{Append, Epoch, Journal, JournalEntry, Position};
use grid_core::{Error, ErrorKind, PartitionId, Result};

/// An append at epoch 1.
pub(super) fn append(partition: u16, tail: u64, batch: impl Into<Bytes>) -> Append {
    Append {
        partition: PartitionId(partition),
        epoch: Epoch(1),
        tail: Position(tail),
        batch: batch.into(),
    }
}

/// Makes one append.
pub(super) async fn one(journal: &dyn Journal, append: Append) -> Result<u64> {
    let mut outcomes = journal.append(vec![append]).await;
    assert_eq!(outcomes.len(), 1, "one outcome for one append");
    Ok(outcomes.remove(0)?.0)
}

/// Appends `count` batches, named by partition and position, behind `tail`.
pub(super) async fn fill(
    journal: &dyn Journal,
    partition: u16,
    tail: u64,
    count: u64,
) -> Result<()> {
    for tail in tail..tail + count {
        let position = one(journal, append(partition, tail, named(partition, tail + 1))).await?;
        assert_eq!(position, tail + 1);
    }
    Ok(())
}

/// The batch that [`fill`] appends at `position`.
pub(super) fn named(partition: u16, position: u64) -> Bytes {
    format!("batch {position} of {partition}").into()
}

/// All batches of `partition` after `after`, read in parts of `max_bytes`.
pub(super) async fn all(
    journal: &dyn Journal,
    partition: u16,
    after: u64,
    max_bytes: usize,
) -> Result<Vec<JournalEntry>> {
    let mut entries: Vec<JournalEntry> = Vec::new();
    loop {
        let after = entries
            .last()
            .map_or(Position(after), |entry| entry.position);
        let part = journal
            .read(PartitionId(partition), after, max_bytes)
            .await?;
        if part.is_empty() {
            return Ok(entries);
        }
        entries.extend(part);
    }
}

/// Checks that `partition` holds what [`fill`] appended, at the positions after `after` up to
/// `tail`.
pub(super) async fn assert_filled(
    journal: &dyn Journal,
    partition: u16,
    after: u64,
    tail: u64,
) -> Result<()> {
    let entries = all(journal, partition, after, 1000).await?;
    let got: Vec<(u64, Bytes)> = entries
        .into_iter()
        .map(|entry| (entry.position.0, entry.batch))
        .collect();
    let expected: Vec<(u64, Bytes)> = (after + 1..=tail)
        .map(|position| (position, named(partition, position)))
        .collect();
    assert_eq!(got, expected);
    Ok(())
}

/// The kind of the error of `outcome`.
pub(super) fn kind<T>(outcome: Result<T>) -> Option<ErrorKind> {
    outcome.err().as_ref().map(Error::kind)
}
