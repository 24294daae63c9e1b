//! Finding out what the journal holds, after an append whose outcome is not known.

use std::sync::Arc;
use std::time::Duration;

use grid_core::partition::Effects;
use grid_core::traits::Journal;
use grid_core::{Error, ErrorKind, PartitionId, Result};

use super::batch::Committed;
use super::shard::Shard;

/// Bytes that are read at once.
const READ_BYTES: usize = 1024 * 1024;

/// Reads the journal of `partition` after the batch that was applied last, and applies the batch
/// of which was not known whether it was written, if it was: then returns it.
///
/// # Errors
/// `Unavailable` when the journal cannot be read now, or when another owner has written.
pub(super) async fn reconcile(
    shard: &Shard,
    journal: &Arc<dyn Journal>,
    partition: PartitionId,
    now: Duration,
) -> Result<Option<Committed>> {
    let Some(tail) = shard.lock().get(&partition).map(|owned| owned.tail) else {
        return Ok(None);
    };
    let entries = journal.read(partition, tail, READ_BYTES).await?;
    let mut partitions = shard.lock();
    let Some(owned) = partitions.get_mut(&partition) else {
        return Ok(None);
    };
    let Some(unknown) = owned.unknown.take() else {
        return Ok(None);
    };
    let [entry] = &entries[..] else {
        owned.fenced = !entries.is_empty();
        return Ok(None);
    };
    if entry.epoch != owned.epoch || entry.batch != unknown {
        owned.fenced = true;
        return Err(fenced(partition));
    }
    let effects = Effects::decode(&entry.batch)?;
    let applied = owned.partition.apply(&effects)?;
    owned.tail = entry.position;
    let through = owned.partition.sequence();
    owned.backing.journalled(through, entry.batch.len(), now);
    Ok(Some(Committed {
        effects,
        applied,
        outcomes: Vec::new(),
    }))
}

/// The error of a partition that has another owner.
pub(crate) fn fenced(partition: PartitionId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "journal",
        "another owner has written to this partition's journal; connect again",
    )
    .with("partition", partition)
}
