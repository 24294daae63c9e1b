//! What the servers' database holds.

use std::collections::BTreeMap;

use grid_core::partition::{Partition, PartitionConfig, TableSeed};
use grid_core::traits::{Persistence, Position, RecordCursor};
use grid_core::{DigestKey, PartitionId, Result, Sequence};
use grid_server::recovery::load_records;

/// What a database holds, dead letters included.
#[derive(Debug)]
pub struct Contents {
    /// Each partition with the position of the journal that its state record names.
    partitions: BTreeMap<PartitionId, (Partition, Position)>,
}

impl Contents {
    /// Reads a database of so many partitions.
    ///
    /// # Errors
    /// As the persistence's.
    pub(super) async fn read(persistence: &dyn Persistence, count: u16) -> Result<Self> {
        let mut partitions = BTreeMap::new();
        for id in (0..count).map(PartitionId) {
            partitions.insert(id, load(persistence, id).await?);
        }
        Ok(Self { partitions })
    }

    /// The partitions as the database has them, each with the position of its state record.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (PartitionId, &Partition, Position)> {
        let all = self.partitions.iter();
        all.map(|(id, (partition, position))| (*id, partition, *position))
    }

    /// The partitions alone.
    pub(super) fn copies(&self) -> BTreeMap<PartitionId, Partition> {
        let all = self.partitions();
        all.map(|(id, partition, _)| (id, partition.clone()))
            .collect()
    }
}

/// The versions that a partition holds, removals included.
pub(super) fn versions(
    partition: &Partition,
) -> impl Iterator<Item = (RecordCursor, Sequence)> + use<> {
    let held = partition.records_after(Sequence::ZERO);
    held.into_iter()
        .map(|one| (RecordCursor::of(&one), one.record.sequence))
}

async fn load(persistence: &dyn Persistence, id: PartitionId) -> Result<(Partition, Position)> {
    let state = persistence.load_state(id).await?;
    let config = PartitionConfig {
        id,
        history: state
            .as_ref()
            .map(|state| state.history)
            .unwrap_or_default(),
        digest_key: DigestKey::default(),
        seed: TableSeed(1, 2),
    };
    let (mut partition, position) = match &state {
        Some(state) => Partition::restore(config, state)?,
        None => (Partition::new(config), Position::default()),
    };
    load_records(&mut partition, persistence).await?;
    Ok((partition, position))
}
