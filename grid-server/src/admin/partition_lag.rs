//! How far the system of record is behind, by partition.

use std::collections::BTreeMap;

use grid_core::PartitionId;

use super::{Admin, Lag};

/// Most partitions in one answer: as many as there can be.
const MAX_PARTITIONS: usize = grid_core::limits::MAX_PARTITION_COUNT as usize;

/// How far the system of record is behind with one partition of this server, and what is wrong with
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub partition: PartitionId,
    /// What waits.
    pub lag: Lag,
    /// Why it cannot be loaded or stored, while that lasts. That the whole database is away is told
    /// by [`Admin::health`] alone.
    pub trouble: Option<String>,
}

impl PartitionLag {
    fn is_worth_telling(&self) -> bool {
        // What clients have confirmed is journalled too, and is no change.
        self.lag.changes > 0 || self.lag.dead_letters > 0 || self.trouble.is_some()
    }
}

impl Admin {
    /// Up to `limit` partitions of which something waits for the system of record, or with which
    /// something is wrong: the latter first, then those that have waited longest.
    ///
    /// ```
    /// # fn watch(server: &grid_server::Server) {
    /// for behind in server.admin().lag_by_partition(10) {
    ///     println!("{}: {:?}", behind.partition, behind.lag.oldest);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn lag_by_partition(&self, limit: usize) -> Vec<PartitionLag> {
        let now = self.0.runtime.monotonic();
        let mut all: BTreeMap<PartitionId, (Lag, Option<String>)> = BTreeMap::new();
        self.each_owned(|owned| {
            let (lag, _) = all.entry(owned.partition.id()).or_default();
            lag.add(owned, now);
        });
        for (partition, trouble) in self.0.observations.of_partitions() {
            all.entry(partition).or_default().1 = Some(trouble);
        }
        let each = all
            .into_iter()
            .map(|(partition, (lag, trouble))| PartitionLag {
                partition,
                lag,
                trouble,
            });
        let mut all: Vec<PartitionLag> = each.filter(PartitionLag::is_worth_telling).collect();
        all.sort_by_key(|one| {
            let lag = one.lag;
            let key = (one.trouble.is_some(), lag.oldest, lag.changes);
            std::cmp::Reverse((key, lag.dead_letters))
        });
        all.truncate(limit.clamp(1, MAX_PARTITIONS));
        all
    }
}
