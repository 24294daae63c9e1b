//! The table of settings.

use std::fmt::Display;
use std::fmt::Write as _;
use std::str::FromStr;

use grid_core::limits;
use grid_core::{Error, ErrorKind, Result};

use super::ack_levels::AckLevels;
use super::settings::{Secret, Settings};

/// One setting: what it is called everywhere, what it means, and what it may be.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The key in the configuration file; the environment variable is `GRID_` and this in upper
    /// case, the flag `--` and this with hyphens.
    pub name: &'static str,
    /// The unit, or what kind of text it is.
    pub unit: &'static str,
    /// The value when nothing else is said.
    pub default: &'static str,
    /// Least and most, for numbers.
    pub bounds: Option<(u64, u64)>,
    /// What it does.
    pub meaning: &'static str,
    set: fn(&mut Settings, &Setting, &str) -> Result<()>,
}

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("GRID_{}", self.name.to_uppercase())
    }

    /// The flag, without the hyphens before it.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Checks `text` and puts it into `settings`.
    ///
    /// # Errors
    /// `Invalid`, naming the setting, its unit and its bounds.
    pub fn apply(&self, settings: &mut Settings, text: &str) -> Result<()> {
        (self.set)(settings, self, text)
    }

    fn number<T: FromStr>(&self, text: &str) -> Result<T> {
        let plain = text.trim().replace('_', "");
        let (least, most) = self.bounds.unwrap_or((0, u64::MAX));
        let value = plain
            .parse::<u64>()
            .ok()
            .filter(|value| (least..=most).contains(value));
        value.and_then(|_| plain.parse().ok()).ok_or_else(|| {
            self.refuse(
                text,
                format!("a number of {} from {least} to {most}", self.unit),
            )
        })
    }

    fn text(&self, text: &str) -> Result<String> {
        if text.trim().is_empty() && !self.default.is_empty() {
            return Err(self.refuse(text, format!("a {}", self.unit)));
        }
        Ok(text.trim().to_owned())
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "one signature for all kinds of settings"
    )]
    fn secret(&self, text: &str) -> Result<Secret> {
        Ok(Secret(text.trim().to_owned()))
    }

    fn levels(&self, text: &str) -> Result<AckLevels> {
        AckLevels::parse(text)
            .map_err(|error| self.refuse(text, "a list of levels").with_source(error))
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "one signature for all kinds of settings"
    )]
    fn secrets(&self, text: &str) -> Result<Vec<Secret>> {
        let parts = text.split(',').map(str::trim);
        Ok(parts
            .filter(|part| !part.is_empty())
            .map(|part| Secret(part.to_owned()))
            .collect())
    }

    fn refuse(&self, text: &str, expected: impl Display) -> Error {
        Error::new(
            ErrorKind::Invalid,
            "configure",
            format!("`{}` must be {expected}", self.name),
        )
        .with("value", text)
    }
}

macro_rules! setting {
    ($field:ident: $kind:ident, $unit:literal, $default:literal, $bounds:expr, $meaning:literal) => {
        Setting {
            name: stringify!($field),
            unit: $unit,
            default: $default,
            bounds: $bounds,
            meaning: $meaning,
            set: |settings, setting, text| {
                settings.$field = setting.$kind(text)?;
                Ok(())
            },
        }
    };
}

/// The largest value that leaves room for its key and envelope in one frame.
const LARGEST_VALUE_BYTES: u64 = limits::LARGEST_VALUE_BYTES as u64;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Every setting of the server.
pub const SETTINGS: &[Setting] = &[
    setting!(data_dir: text, "folder", "grid-data", None,
        "Holds the journal and the embedded database; made if its parent exists. One process at a time."),
    setting!(listen: text, "URL or host:port", "ws://127.0.0.1:7171", None,
        "Where clients connect. A host alone means its port 7171; port 0 takes any free one."),
    setting!(admin: text, "host:port", "127.0.0.1:7172", None,
        "Where operators get health and metrics and settle dead letters, over HTTP; `off` for nowhere. It asks nobody who they are, so only addresses of the loopback interface are taken unless `admin_hosts` is set; port 0 takes any free one."),
    setting!(admin_hosts: text, "list of hosts", "", None,
        "The names or addresses, without ports, by which operators of other machines ask for it. Setting it lets `admin` be an address that they reach: guard the way there."),
    setting!(persistence: secret, "URL", "", None,
        "The system of record; empty means SQLite in the data folder, `memory:` keeps nothing over a restart but what the journal has."),
    setting!(token: secret, "text", "", None,
        "What clients must present to be let in; empty lets everybody in. Better in the environment than in a flag, which other users of the machine can see."),
    setting!(workers: number, "tasks", "0", Some((0, 256)),
        "Tasks that run the partitions; 0 means one for each core."),
    setting!(partition_count: number, "partitions", "271", Some((1, limits::MAX_PARTITION_COUNT as u64)),
        "Fixed with the first start on a data folder."),
    setting!(map_spread: number, "partitions", "8", Some((1, limits::MAX_PARTITION_COUNT as u64)),
        "Over how many partitions a map is spread; fixed for a data folder."),
    setting!(max_value_bytes: number, "bytes", "262144", Some((1, LARGEST_VALUE_BYTES)),
        "The largest value; a larger one is rejected for good."),
    setting!(push_window: number, "ops", "16384", Some((1, 1_000_000)),
        "How many ops a client may have sent and not yet seen a verdict of."),
    setting!(client_ops_per_second: number, "ops a second", "0", Some((0, 100_000_000)),
        "How many ops one client may send; 0 means as many as it likes. A second's worth may come at once, which bounds its window as well. A client is a principal at one address."),
    setting!(namespace_ops_per_second: number, "ops a second", "0", Some((0, 100_000_000)),
        "The same for all clients of a namespace together."),
    setting!(waiting_bytes: number, "bytes", "268435456", Some((65_536, 1_099_511_627_776)),
        "Bytes of requests that may wait for the workers, over all connections; beyond that they are put off."),
    setting!(request_timeout_ms: number, "milliseconds", "20000", Some((100, 600_000)),
        "How long a request may wait for the workers; then its connection ends, and its client connects again."),
    setting!(layers: secrets, "URLs", "", None,
        "Layers of the program's own that requests pass first, parted by commas (so a URL has none), the first outermost; each needs a driver."),
    setting!(max_connections: number, "connections", "10000", Some((1, 1_000_000)),
        "Connections at once; more are refused as overloaded. Each takes a file descriptor: see `ulimit -n`."),
    setting!(max_views: number, "views", "1024", Some((1, 65_536)),
        "Views that one connection may follow."),
    setting!(mailbox_messages: number, "messages", "1024", Some((1, 65_536)),
        "What may wait for one worker; then connections are read more slowly."),
    setting!(batch_ops: number, "ops", "4096", Some((1, 16_384)),
        "Most ops that one worker decides and journals at once."),
    setting!(batch_bytes: number, "bytes", "1048576", Some((1024, 8_388_608)),
        "Bytes of ops at which such a batch is full."),
    setting!(send_queue_bytes: number, "bytes", "1048576", Some((65_536, 1_073_741_824)),
        "What may wait for one connection; a slower subscriber is dropped to its cursor and caught up later."),
    setting!(heartbeat_ms: number, "milliseconds", "10000", Some((100, 600_000)),
        "Time between signs of life; a connection silent for three of them is closed."),
    setting!(handshake_timeout_ms: number, "milliseconds", "10000", Some((100, 600_000)),
        "Time for a client to introduce itself."),
    setting!(allowed_drift_ms: number, "milliseconds", "60000", Some((0, DAY_MS)),
        "How far a stamp may lie ahead of the server's clock before it is set back."),
    setting!(retention_ms: number, "milliseconds", "2592000000", Some((1000, 3650 * DAY_MS)),
        "How long tombstones and finished runs are remembered (30 days)."),
    setting!(journal_segment_bytes: number, "bytes", "67108864", Some((65_536, 1_073_741_824)),
        "Size at which the journal starts a new file."),
    setting!(flush_interval_ms: number, "milliseconds", "1000", Some((10, 3_600_000)),
        "Over how long changes of one entry are gathered, to be stored in the system of record as one."),
    setting!(flush_records: number, "records", "5000", Some((1, 100_000)),
        "Records in one batch to the system of record."),
    setting!(flush_bytes: number, "bytes", "8388608", Some((65_536, 268_435_456)),
        "Bytes of keys and values at which such a batch is full."),
    setting!(backlog_records: number, "records", "1000000", Some((1000, 1_000_000_000)),
        "Changes of one partition not yet in the system of record at which its clients are told to wait."),
    setting!(backlog_bytes: number, "bytes", "1073741824", Some((1_048_576, 1_099_511_627_776)),
        "Bytes of such changes, as they stand in the journal, at which its clients are told to wait."),
    setting!(dead_letters: number, "versions", "10000", Some((0, 1_000_000)),
        "Versions of one partition that the system of record may refuse for good and that are put aside; beyond that the partition is not stored any further."),
    setting!(ack_levels: levels, "levels", "journaled", None,
        "When a client is told that a write is safe, unless the write asks for a level itself: `memory` (decided, survives nothing), `journaled` (survives a crash and a power cut), `stored` (the system of record has it too). By map, as in `journaled, orders=stored, presence=memory`."),
    setting!(retry_after_ms: number, "milliseconds", "250", Some((1, 60_000)),
        "How long a client waits before it pushes again what was put off."),
    setting!(housekeeping_ms: number, "milliseconds", "1000", Some((10, 3_600_000)),
        "How often entries expire, tombstones are collected and finished runs forgotten."),
    setting!(drain_ms: number, "milliseconds", "5000", Some((1, 600_000)),
        "How long a connection that ends, and a shutdown, wait for the client to take what was sent; and a shutdown for the database to take what is acknowledged as `stored`."),
    setting!(log: text, "filter", "info", None,
        "What is logged to standard error, as in `warn` or `grid_server=debug`."),
];

/// The table as the book shows it.
#[must_use]
pub fn markdown() -> String {
    let mut out =
        String::from("| setting | what it is, and its default | what it does |\n|---|---|---|\n");
    for setting in SETTINGS {
        let bounds = setting
            .bounds
            .map_or_else(String::new, |(least, most)| format!(", {least} to {most}"));
        let default = if setting.default.is_empty() {
            String::from("none")
        } else {
            format!("`{}`", setting.default)
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            out,
            "| `{}` | {}{bounds}; {default} | {} |",
            setting.name, setting.unit, setting.meaning
        );
    }
    out
}
