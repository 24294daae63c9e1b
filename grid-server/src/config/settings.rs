//! The settings, with their types.

/// What a server is told about itself. [`super::SETTINGS`] describes each field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The folder of journal and database.
    pub data_dir: String,
    /// Where to listen.
    pub listen: String,
    /// The system of record; empty: SQLite in the data folder.
    pub persistence: String,
    /// Worker tasks; 0: one per core.
    pub workers: usize,
    /// Partitions of the data set.
    pub partition_count: u16,
    /// Partitions over which a map is spread.
    pub map_spread: u16,
    /// Largest value, in bytes.
    pub max_value_bytes: u32,
    /// Ops of one connection without a verdict.
    pub push_window: u32,
    /// Connections at once.
    pub max_connections: usize,
    /// Frames that wait for one slow subscriber, in bytes.
    pub send_queue_bytes: usize,
    /// Time between signs of life, in milliseconds.
    pub heartbeat_ms: u64,
    /// Time for a client to introduce itself, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// How far a stamp may lie ahead, in milliseconds.
    pub allowed_drift_ms: u64,
    /// How long tombstones and finished runs are kept, in milliseconds.
    pub retention_ms: u64,
    /// Size at which the journal starts a new segment, in bytes.
    pub journal_segment_bytes: u64,
    /// Time between write-behind batches, in milliseconds.
    pub flush_interval_ms: u64,
    /// Records of one write-behind batch.
    pub flush_records: usize,
    /// Records not yet in the system of record at which pushes are deferred.
    pub backlog_records: usize,
    /// What is logged.
    pub log: String,
}
