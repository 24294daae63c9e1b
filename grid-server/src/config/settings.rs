//! The settings, with their types.

use std::fmt;

use grid_core::limits::MAX_PARTITION_COUNT;
use grid_core::{Error, ErrorKind, Result};

use super::ack_levels::AckLevels;
use crate::layer::rate_limit::Rates;

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// What a server is told about itself. [`super::SETTINGS`] describes each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder of journal and database.
    pub data_dir: String,
    /// Where to listen.
    pub listen: String,
    /// Where operators ask over HTTP; `off`: nowhere.
    pub admin: String,
    /// Hosts by which operators ask from elsewhere, separated by commas.
    pub admin_hosts: String,
    /// The URL of the system of record, which may hold a password; empty: SQLite in the data
    /// folder.
    pub persistence: Secret,
    /// The token that clients must present; empty: none is asked for.
    pub token: Secret,
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
    /// Ops a second of one client; 0: no limit.
    pub client_ops_per_second: u32,
    /// Ops a second of all clients of a namespace; 0: no limit.
    pub namespace_ops_per_second: u32,
    /// Bytes of requests that may wait for the workers, over all connections.
    pub waiting_bytes: usize,
    /// How long a request may wait for the workers, in milliseconds.
    pub request_timeout_ms: u64,
    /// URLs of layers of the program's own, which may hold passwords; the first is outermost. A
    /// program that embeds a server opens them itself, see [`crate::GatewayLayer::open`].
    pub layers: Vec<Secret>,
    /// Connections at once.
    pub max_connections: usize,
    /// Views that one connection may follow.
    pub max_views: usize,
    /// Messages that may wait for one worker.
    pub mailbox_messages: usize,
    /// Most ops that one worker decides and journals at once.
    pub batch_ops: usize,
    /// Bytes of ops at which a worker's batch is full.
    pub batch_bytes: usize,
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
    /// Bytes of keys and values of one write-behind batch.
    pub flush_bytes: usize,
    /// Changes of one partition not yet in the system of record at which pushes are deferred.
    pub backlog_records: usize,
    /// Bytes of such changes at which pushes are deferred.
    pub backlog_bytes: u64,
    /// Versions of one partition that the system of record may refuse for good.
    pub dead_letters: usize,
    /// When clients are told what became of their writes.
    pub ack_levels: AckLevels,
    /// How long a client whose write was put off waits, in milliseconds.
    pub retry_after_ms: u32,
    /// How often what is due by time is done, in milliseconds.
    pub housekeeping_ms: u64,
    /// How long a shutdown waits for clients to take what was sent, in milliseconds.
    pub drain_ms: u64,
    /// What is logged.
    pub log: String,
}

impl Default for Settings {
    /// The defaults of the table.
    fn default() -> Self {
        let mut settings = Self::blank();
        for setting in super::SETTINGS {
            #[expect(
                clippy::expect_used,
                reason = "a test applies every default of the table"
            )]
            setting
                .apply(&mut settings, setting.default)
                .expect("a default is within its bounds");
        }
        settings
    }
}

impl Settings {
    /// Checks what a server cannot work with. The narrower bounds of [`super::SETTINGS`] are for
    /// what people write.
    ///
    /// # Errors
    /// `Invalid`, naming the setting.
    pub(crate) fn check(&self) -> Result<()> {
        let zero = [
            ("map_spread", self.map_spread == 0),
            ("push_window", self.push_window == 0),
            ("waiting_bytes", self.waiting_bytes == 0),
            ("request_timeout_ms", self.request_timeout_ms == 0),
            ("mailbox_messages", self.mailbox_messages == 0),
            ("batch_ops", self.batch_ops == 0),
            ("batch_bytes", self.batch_bytes == 0),
            ("send_queue_bytes", self.send_queue_bytes == 0),
            ("heartbeat_ms", self.heartbeat_ms == 0),
            ("flush_interval_ms", self.flush_interval_ms == 0),
            ("flush_records", self.flush_records == 0),
            ("flush_bytes", self.flush_bytes == 0),
            ("backlog_records", self.backlog_records == 0),
            ("backlog_bytes", self.backlog_bytes == 0),
            ("housekeeping_ms", self.housekeeping_ms == 0),
        ];
        if let Some((name, _)) = zero.iter().find(|(_, is_zero)| *is_zero) {
            return Err(invalid(format!("`{name}` must not be 0")));
        }
        if !(1..=MAX_PARTITION_COUNT).contains(&self.partition_count) {
            return Err(invalid(format!(
                "`partition_count` is from 1 to {MAX_PARTITION_COUNT}"
            )));
        }
        Ok(())
    }

    /// How many ops a client may have sent and not yet seen a verdict of: no more than may come at
    /// once by its rate, so that a client that keeps to it never sends what must be put off whole.
    pub(crate) fn push_window(&self) -> u32 {
        let burst = Rates::new(self).burst().unwrap_or(u32::MAX);
        self.push_window.min(burst)
    }

    /// Settings of which nothing is set yet.
    fn blank() -> Self {
        Self {
            data_dir: String::new(),
            listen: String::new(),
            admin: String::new(),
            admin_hosts: String::new(),
            persistence: Secret::default(),
            token: Secret::default(),
            workers: 0,
            partition_count: 0,
            map_spread: 0,
            max_value_bytes: 0,
            push_window: 0,
            client_ops_per_second: 0,
            namespace_ops_per_second: 0,
            waiting_bytes: 0,
            request_timeout_ms: 0,
            layers: Vec::new(),
            max_connections: 0,
            max_views: 0,
            mailbox_messages: 0,
            batch_ops: 0,
            batch_bytes: 0,
            send_queue_bytes: 0,
            heartbeat_ms: 0,
            handshake_timeout_ms: 0,
            allowed_drift_ms: 0,
            retention_ms: 0,
            journal_segment_bytes: 0,
            flush_interval_ms: 0,
            flush_records: 0,
            flush_bytes: 0,
            backlog_records: 0,
            backlog_bytes: 0,
            dead_letters: 0,
            ack_levels: AckLevels::default(),
            retry_after_ms: 0,
            housekeeping_ms: 0,
            drain_ms: 0,
            log: String::new(),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "start server", message)
}
