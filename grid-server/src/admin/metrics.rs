//! A server in numbers.

use crate::admin::Lag;
use crate::observations::Counts;

/// A server in numbers, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    /// How far the system of record is behind, over all partitions.
    pub lag: Lag,
    /// The largest backlog of one partition, in changes: what `backlog_records` bounds.
    pub backlog_changes_max: u64,
    /// The largest backlog of one partition, in bytes: what `backlog_bytes` bounds.
    pub backlog_bytes_max: u64,
    /// The setting `backlog_records`.
    pub backlog_changes_bound: u64,
    /// The setting `backlog_bytes`.
    pub backlog_bytes_bound: u64,
    /// Partitions of the data set.
    pub partitions: u64,
    /// Partitions that this server owns and serves.
    pub partitions_served: u64,
    /// Partitions that it owns and cannot serve yet.
    pub partitions_wanted: u64,
    /// Batches that the journal has taken for the partitions that are served, over its whole life.
    pub journal_batches: u64,
    /// How many of them the system of record has.
    pub journal_batches_stored: u64,
    /// Connections that are open.
    pub connections: u64,
    /// The setting `max_connections`.
    pub connections_bound: u64,
    /// Clients that were let in since the start.
    pub sessions: u64,
    /// What was counted since the start.
    pub counts: Counts,
}
