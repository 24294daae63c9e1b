//! A new history, by an operator's order: the database is the truth, and the journal is not.

use std::sync::Arc;

use grid_core::partition::{Partition, PartitionConfig, TableSeed};
use grid_core::traits::{Journal, Persistence, Position, Runtime};
use grid_core::{History, PartitionId, Result};

use crate::config::Settings;
use crate::data_set::{DataSet, Found};
use crate::recovery::load_records;

/// Begins a new history on what the database has, and lets go of everything in the journal.
///
/// A crash in the middle leaves a journal and a database of different histories: then nothing is
/// served until the order is given again, which begins once more.
///
/// # Errors
/// `Conflict` when the database is empty or was made with other settings; else as those of the
/// journal and the persistence.
pub(crate) async fn begin(
    journal: &Arc<dyn Journal>,
    persistence: &Arc<dyn Persistence>,
    runtime: &Arc<dyn Runtime>,
    settings: &Settings,
) -> Result<()> {
    let before = Found::read(journal, persistence).await?.stored(settings)?;
    let data_set = DataSet {
        history: History(runtime.random()),
        begun_here: false,
        ..before
    };
    // From here on no start without the order finds that the two belong together.
    let last = data_set.write_to(journal).await?;
    let seed = TableSeed(runtime.random(), runtime.random());
    let mut discarded = 0;
    for id in (0..data_set.partition_count).map(PartitionId) {
        let config = PartitionConfig {
            id,
            history: data_set.history,
            digest_key: data_set.digest_key,
            seed,
        };
        discarded += begin_one(config, journal, persistence).await?;
    }
    // From here on they do.
    data_set.store_in(persistence).await?;
    DataSet::forget_through(journal, last).await?;
    tracing::warn!(
        before = %before.history,
        history = %data_set.history,
        "a new history begins, as ordered: the database is the truth; clients compare what they \
         hold with it"
    );
    if discarded > 0 {
        tracing::warn!(
            batches = discarded,
            "what only the journal had is discarded"
        );
    }
    Ok(())
}

/// Puts one partition on the history of `config`; returns how many batches of the journal follow
/// on what the database has of it, and are discarded.
async fn begin_one(
    config: PartitionConfig,
    journal: &Arc<dyn Journal>,
    persistence: &Arc<dyn Persistence>,
) -> Result<u64> {
    let id = config.id;
    let (mut partition, position) = match persistence.load_state(id).await? {
        Some(state) => {
            // Of whichever history: that of the backup, or one that was begun and not completed.
            let of_state = PartitionConfig {
                history: state.history,
                ..config
            };
            Partition::restore(of_state, &state)?
        }
        None => (Partition::new(config), Position(0)),
    };
    load_records(&mut partition, &**persistence).await?;
    partition.begin_history(config.history);
    let extent = journal.extent(id).await?;
    // A journal that may keep batches longer has none after this position.
    persistence
        .store(id, &[], &partition.save(extent.tail))
        .await?;
    journal.truncate(id, extent.tail).await?;
    Ok(extent.tail.0 - position.max(extent.truncated).min(extent.tail).0)
}
