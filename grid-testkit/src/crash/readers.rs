//! What a database and a client hold.

use std::collections::BTreeMap;

use grid_client::Grid;
use grid_core::partition::{Partition, PartitionConfig, TableSeed};
use grid_core::traits::{Persistence, RecordCursor, StateRecord};
use grid_core::{DigestKey, PartitionId, Result};

use super::evidence::{Database, Held, State};
use super::habit::Habit;

/// Records that are read at once.
const PAGE_RECORDS: usize = 4096;
/// The server's map of versions that the database refused.
const DEAD_LETTERS: &str = "$dead-letters";

/// What `persistence` holds of the first `partitions` partitions, state records first: what is read
/// after a state record is at least what it speaks of.
///
/// # Errors
/// What the persistence says.
pub async fn read_database(persistence: &dyn Persistence, partitions: u16) -> Result<Database> {
    let mut database = Database::default();
    for partition in (0..partitions).map(PartitionId) {
        if let Some(state) = persistence.load_state(partition).await? {
            database.sequences.insert(partition, state.sequence);
            database.changes += changes(partition, &state)?;
        }
        let mut after: Option<RecordCursor> = None;
        loop {
            let page = persistence
                .load(partition, after.as_ref(), PAGE_RECORDS)
                .await?;
            after = page.records.last().map(RecordCursor::of).or(after);
            for each in page.records {
                let map = each.address.map.as_str();
                if map == DEAD_LETTERS {
                    database.dead_letters += u64::from(!each.record.is_tombstone());
                    continue;
                }
                let place = (map.to_owned(), each.record.key.as_str().to_owned());
                let held = Held {
                    value: each.record.value,
                    stamp: each.record.stamp,
                    sequence: Some(each.record.sequence),
                };
                database.state.insert(place, held);
            }
            if !page.more {
                break;
            }
        }
    }
    Ok(database)
}

/// What `grid` shows to its program.
///
/// # Errors
/// As those of [`Grid::map`].
pub fn read_client<P>(grid: &Grid<P>) -> Result<State> {
    let mut state = BTreeMap::new();
    for name in Habit::maps() {
        let map = grid.map::<()>(name)?;
        for (key, value) in map.entries() {
            let held = Held {
                value: Some(value),
                stamp: map.version(key.as_str())?,
                sequence: None,
            };
            state.insert((name.to_owned(), key.as_str().to_owned()), held);
        }
    }
    Ok(state)
}

/// How many changes of entries a partition has gone through by `state`.
fn changes(partition: PartitionId, state: &StateRecord) -> Result<u64> {
    let config = PartitionConfig {
        id: partition,
        history: state.history,
        // For digests and look-ups, which nobody asks for here.
        digest_key: DigestKey(0),
        seed: TableSeed(0, 0),
    };
    let (restored, _) = Partition::restore(config, state)?;
    Ok(restored.change_count())
}
