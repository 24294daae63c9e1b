//! Bringing a partition back: what the database has, and the journal's tail after it.

use std::sync::Arc;

use grid_core::partition::{Effects, Partition, PartitionConfig};
use grid_core::traits::{Epoch, Journal, Persistence, Position, RecordCursor};
use grid_core::{Error, ErrorKind, PartitionId, Result, Sequence};

use crate::data_set::WHAT_TO_DO;
use crate::partition_service::Owned;

/// Records that are loaded at once.
const LOAD_RECORDS: usize = 4096;
/// Bytes of the journal that are read at once.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// A partition as it was when the last acknowledged batch was written. Its epoch is that of its
/// last writer.
///
/// # Errors
/// `Diverged` when database and journal do not follow on each other, `Corrupt` when one of them is
/// damaged.
pub(crate) async fn recover(
    config: PartitionConfig,
    journal: &Arc<dyn Journal>,
    persistence: &Arc<dyn Persistence>,
) -> Result<Owned> {
    let mut before = None;
    loop {
        let (position, recovered) = try_recover(config, journal, persistence).await?;
        match recovered {
            Ok(owned) => return Ok(owned),
            // A former owner that does not know it yet may have stored and truncated meanwhile.
            Err(_) if before != Some(position) => before = Some(position),
            Err(misfit) => return Err(misfit),
        }
    }
}

/// One try: the position at which the database was, and the partition, unless the journal does not
/// reach back to there.
async fn try_recover(
    config: PartitionConfig,
    journal: &Arc<dyn Journal>,
    persistence: &Arc<dyn Persistence>,
) -> Result<(Position, Result<Owned>)> {
    let id = config.id;
    let (mut partition, position) = match persistence.load_state(id).await? {
        Some(state) => Partition::restore(config, &state).map_err(unfollowed)?,
        None => (Partition::new(config), Position(0)),
    };
    let stored = partition.save(position);
    load_records(&mut partition, &**persistence).await?;
    let extent = journal.extent(id).await?;
    if position < extent.truncated || position > extent.tail {
        let misfit = misfit(id, position, extent.truncated, extent.tail);
        return Ok((position, Err(misfit)));
    }
    let mut tail = position;
    match replay_journal(&mut partition, &mut tail, &**journal).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((position, Err(error))),
        replayed => replayed?,
    };
    partition.finish_replay();
    if partition.newest() > partition.sequence() {
        // The state record lags what was stored with it, and the journal that it needs is gone.
        let misfit = misfit(id, position, extent.truncated, extent.tail)
            .with("database holds sequence", partition.newest())
            .with("journal leads to", partition.sequence());
        return Ok((position, Err(misfit)));
    }
    let owned = Owned {
        partition,
        epoch: extent.epoch,
        tail,
        unknown: None,
        fenced: false,
        stored,
        stored_position: position,
        collected: Sequence::ZERO,
    };
    Ok((position, Ok(owned)))
}

/// Applies the batches after `tail`, to the end of the journal; returns the epoch of the last one,
/// if there was any.
///
/// # Errors
/// As the journal's; `Corrupt` when a batch is damaged, `Diverged` when it does not follow on the
/// state before it.
pub async fn replay_journal(
    partition: &mut Partition,
    tail: &mut Position,
    journal: &dyn Journal,
) -> Result<Option<Epoch>> {
    let mut epoch = None;
    loop {
        let entries = journal.read(partition.id(), *tail, READ_BYTES).await?;
        if entries.is_empty() {
            return Ok(epoch);
        }
        for entry in entries {
            let effects = Effects::decode(&entry.batch)?;
            partition.apply(&effects).map_err(unfollowed)?;
            *tail = entry.position;
            epoch = Some(entry.epoch);
        }
    }
}

/// Loads every record that the database has of a partition, page by page, into one that is new or
/// restored from its state record.
///
/// # Errors
/// As the persistence's.
pub async fn load_records(partition: &mut Partition, persistence: &dyn Persistence) -> Result<()> {
    let mut after: Option<RecordCursor> = None;
    loop {
        let page = persistence
            .load(partition.id(), after.as_ref(), LOAD_RECORDS)
            .await?;
        for record in &page.records {
            partition.load(record);
        }
        after = page.records.last().map(|last| RecordCursor {
            address: last.address.clone(),
            key: last.record.key.clone(),
        });
        if !page.more || after.is_none() {
            break;
        }
    }
    partition.finish_load();
    Ok(())
}

/// Says what to do about a state record or a batch that does not follow on what was before.
fn unfollowed(error: Error) -> Error {
    if error.kind() != ErrorKind::Diverged {
        return error;
    }
    let message = format!("the database does not fit the journal; {WHAT_TO_DO}");
    Error::new(ErrorKind::Diverged, "recover partition", message).with_source(error)
}

fn misfit(id: PartitionId, position: Position, truncated: Position, tail: Position) -> Error {
    Error::new(
        ErrorKind::Diverged,
        "recover partition",
        format!(
            "the database does not fit the journal: one of them was replaced or restored from a \
             backup; {WHAT_TO_DO}"
        ),
    )
    .with("partition", id)
    .with("database is at", position.0)
    .with("journal starts after", truncated.0)
    .with("journal ends at", tail.0)
}
