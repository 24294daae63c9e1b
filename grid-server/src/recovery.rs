//! Bringing a partition back: what the database has, and the journal's tail after it.

mod latest;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grid_core::mutation::{Mutation, planted};
use grid_core::partition::{Effects, Partition, PartitionConfig};
use grid_core::traits::{AddressedRecord, Epoch, Journal, Persistence, Position, RecordCursor};
use grid_core::{Error, ErrorKind, PartitionId, Result, Sequence};

use self::latest::Latest;
use crate::data_set::WHAT_TO_DO;
use crate::partition_service::Owned;
use crate::write_behind::{Backing, DeadLetters};

pub use crate::write_behind::read_letter;

/// Records that are loaded at once.
const LOAD_RECORDS: usize = 4096;
/// Bytes of the journal that are read at once.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// A partition as it was when the last acknowledged batch was written. Its epoch is that of its
/// last writer. `now` is by the monotonic clock.
///
/// # Errors
/// `Diverged` when database and journal do not follow on each other, `Corrupt` when one of them is
/// damaged.
pub(crate) async fn recover(
    config: PartitionConfig,
    journal: &Arc<dyn Journal>,
    persistence: &Arc<dyn Persistence>,
    now: Duration,
) -> Result<Owned> {
    recover_within(config, journal, persistence, now, None).await
}

/// Where a partition stood that was made of the journal alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) tail: Position,
    pub(crate) sequence: Sequence,
}

/// As [`recover`], with a database to which nothing was written since `start`: it has nothing
/// later.
///
/// # Errors
/// As those of [`recover`].
pub(crate) async fn recover_within(
    config: PartitionConfig,
    journal: &Arc<dyn Journal>,
    persistence: &Arc<dyn Persistence>,
    now: Duration,
    start: Option<Start>,
) -> Result<Owned> {
    let mut before = None;
    loop {
        let (position, recovered) = try_recover(config, journal, persistence, now, start).await?;
        match recovered {
            Ok(owned) => return Ok(owned),
            // A former owner that does not know it yet may have stored and truncated meanwhile.
            Err(_) if before != Some(position) => before = Some(position),
            Err(misfit) => return Err(misfit),
        }
    }
}

/// A partition of which the journal has everything, without the database, which has not been asked;
/// none when it has not everything.
///
/// # Errors
/// As the journal's; `Corrupt` when a batch is damaged, `Diverged` when the first one is not the
/// partition's first.
pub(crate) async fn recover_alone(
    config: PartitionConfig,
    journal: &Arc<dyn Journal>,
    now: Duration,
) -> Result<Option<Owned>> {
    let extent = journal.extent(config.id).await?;
    if extent.truncated > Position(0) {
        return Ok(None);
    }
    let mut partition = Partition::new(config);
    let mut backing = Backing::unconfirmed(partition.save(Position(0)));
    partition.finish_load();
    let mut tail = Position(0);
    let waits = |through, bytes| backing.journalled(through, bytes, now);
    match replay_journal(&mut partition, &mut tail, &**journal, waits).await {
        // A former owner that does not know it yet has truncated meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        replayed => replayed?,
    };
    partition.finish_replay();
    Ok(Some(Owned {
        partition,
        epoch: extent.epoch,
        tail,
        unknown: None,
        fenced: false,
        backing,
    }))
}

/// One try: the position at which the database was, and the partition, unless the journal does not
/// reach back to there.
async fn try_recover(
    config: PartitionConfig,
    journal: &Arc<dyn Journal>,
    persistence: &Arc<dyn Persistence>,
    now: Duration,
    start: Option<Start>,
) -> Result<(Position, Result<Owned>)> {
    let id = config.id;
    let (mut partition, position) = match persistence.load_state(id).await? {
        Some(state) => Partition::restore(config, &state).map_err(unfollowed)?,
        None => (Partition::new(config), Position(0)),
    };
    let stored = partition.save(position);
    let loaded = load_records(&mut partition, &**persistence).await?;
    // They are left by a crash between two calls.
    let letters = DeadLetters::new(&**persistence, partition.history());
    letters.remove(id, &loaded.settled).await?;
    let extent = journal.extent(id).await?;
    let last = start.map_or(extent.tail, |start| start.tail);
    let is_later = start.is_some_and(|start| partition.newest() > start.sequence);
    let fits = position >= extent.truncated && position <= last && !is_later;
    if !fits && !planted(Mutation::ServeOldDatabase) {
        let misfit = misfit(id, position, extent.truncated, extent.tail);
        return Ok((position, Err(misfit)));
    }
    let mut tail = if fits { position } else { extent.tail };
    let mut latest = Latest::of(&stored, position);
    let mut backing = Backing::new(stored, position, loaded.buried);
    let waits = |through, bytes| {
        latest.batch(through);
        backing.journalled(through, bytes, now);
    };
    match replay_journal(&mut partition, &mut tail, &**journal, waits).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((position, Err(error))),
        replayed => replayed?,
    };
    partition.finish_replay();
    if partition.newest() > partition.sequence() && !planted(Mutation::ServeOldDatabase) {
        // The state record lags what was stored with it, and the journal that it needs is gone.
        let misfit = misfit(id, position, extent.truncated, extent.tail)
            .with("database holds sequence", partition.newest())
            .with("journal leads to", partition.sequence());
        return Ok((position, Err(misfit)));
    }
    if fits && persistence.capabilities().survives_power_loss {
        let late = latest.doubt(id, extent.truncated, &**journal, &mut backing);
        late.await?;
    }
    let owned = Owned {
        partition,
        epoch: extent.epoch,
        tail,
        unknown: None,
        fenced: false,
        backing,
    };
    Ok((position, Ok(owned)))
}

/// Applies the batches after `tail`, to the end of the journal; returns the epoch of the last one,
/// if there was any. `applied` is told of each the sequence to which it leads, and its bytes.
///
/// # Errors
/// As the journal's; `Corrupt` when a batch is damaged, `Diverged` when it does not follow on the
/// state before it.
pub async fn replay_journal(
    partition: &mut Partition,
    tail: &mut Position,
    journal: &dyn Journal,
    mut applied: impl FnMut(Sequence, usize),
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
            applied(partition.sequence(), entry.batch.len());
        }
    }
}

/// What was found beside a partition's records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadedLetters {
    /// Entries of which a dead letter is the version that counts, and its sequence.
    pub buried: BTreeMap<RecordCursor, Sequence>,
    /// Entries of which a later version than the letter's was stored.
    pub settled: BTreeMap<RecordCursor, Sequence>,
}

/// Loads every record that the database has of a partition, page by page, and its dead letters,
/// into one that is new or restored from its state record.
///
/// # Errors
/// As the persistence's; `Corrupt` when a letter is damaged.
pub async fn load_records(
    partition: &mut Partition,
    persistence: &dyn Persistence,
) -> Result<LoadedLetters> {
    let letters = DeadLetters::new(persistence, partition.history());
    let mut refused: BTreeMap<RecordCursor, AddressedRecord> = letters
        .of(partition.id())
        .await?
        .into_iter()
        .map(|letter| (letter.cursor(), letter.addressed()))
        .collect();
    let mut settled = BTreeMap::new();
    let mut after: Option<RecordCursor> = None;
    loop {
        let page = persistence
            .load(partition.id(), after.as_ref(), LOAD_RECORDS)
            .await?;
        for stored in &page.records {
            let cursor = RecordCursor::of(stored);
            match refused.get(&cursor).map(|letter| letter.record.sequence) {
                // The letter is loaded in its stead.
                Some(sequence) if sequence > stored.record.sequence => continue,
                // A later version was stored, and a crash came before the letter was gone.
                Some(sequence) => {
                    refused.remove(&cursor);
                    settled.insert(cursor, sequence);
                }
                None => {}
            }
            partition.load(stored);
        }
        after = page.records.last().map(RecordCursor::of);
        if !page.more || after.is_none() {
            break;
        }
    }
    refused.values().for_each(|letter| partition.load(letter));
    partition.finish_load();
    let versions = refused.into_iter();
    let buried = versions.map(|(cursor, letter)| (cursor, letter.record.sequence));
    Ok(LoadedLetters {
        buried: buried.collect(),
        settled,
    })
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
