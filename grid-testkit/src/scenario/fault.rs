//! What can go wrong: faults as data.

use serde::{Deserialize, Serialize};

use super::simulation::FAR_OFF_MS;
use crate::sim::{Executor, LinkFaults, Stream};

/// One fault. Devices and servers are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// Frames between a device and the servers vanish without a word.
    Cut {
        /// The device.
        device: usize,
        /// Whether the way to the servers is cut.
        up: bool,
        /// Whether the way to the device is cut.
        down: bool,
    },
    /// All cuts end, and links are healthy again.
    Heal,
    /// All links treat frames like this.
    Links(LinkFaults),
    /// A server loses its power, with what its disk had not synced, and comes back.
    CrashServer {
        /// The server.
        server: usize,
        /// Whether the devices are not told.
        silent: bool,
        /// How long it is gone, in milliseconds.
        down_ms: u64,
        /// In the middle of which input or output from now on it happens; 0: at once.
        after_io: u32,
    },
    /// A device loses its power and comes back.
    CrashDevice {
        /// The device.
        device: usize,
        /// Whether the servers are not told.
        silent: bool,
        /// How long it is gone, in milliseconds.
        down_ms: u64,
        /// In the middle of which input or output from now on it happens; 0: at once.
        after_io: u32,
    },
    /// A device's wall clock jumps.
    Clock {
        /// The device.
        device: usize,
        /// What it is off from now on, in milliseconds.
        offset_ms: i64,
        /// What it gains from now on, in parts per million.
        drift_ppm: i64,
    },
    /// A server's wall clock jumps.
    ServerClock {
        /// The server.
        server: usize,
        /// What it is off from now on, in milliseconds.
        offset_ms: i64,
        /// What it gains from now on, in parts per million.
        #[serde(default)]
        drift_ppm: i64,
    },
    /// A server's disk has no room left. A journal that several servers share has no disk.
    DiskFull {
        /// The server.
        server: usize,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// A server's disk fails one of its next appends or syncs. Where several servers share a
    /// journal, one of the server's next appends to it has an unknown outcome: with `sync` it is
    /// written, else it is not.
    DiskError {
        /// The server.
        server: usize,
        /// Whether it is a sync.
        sync: bool,
        /// Which of the next calls; 1 is the very next.
        nth: u64,
    },
    /// Calls of a device's store fail.
    StoreError {
        /// The device.
        device: usize,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Calls of a device's store take long.
    StoreSlow {
        /// The device.
        device: usize,
        /// How long each, in milliseconds.
        call_ms: u64,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Calls of the servers' database fail.
    DatabaseError {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Calls of the servers' database take long.
    DatabaseSlow {
        /// How long each, in milliseconds.
        call_ms: u64,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The servers' database refuses some records for good, as a constraint of its user's would.
    DatabaseRefuses {
        /// Those whose sequence is a multiple of this.
        every: u64,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The servers' database takes a part of what each call hands it, or all of it, now or a little
    /// later, and gives no answer.
    DatabaseTears {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// A server becomes the owner of all partitions, while the others live on.
    TakeOver {
        /// The new owner.
        server: usize,
        /// How much later the others hear of it, in milliseconds, unless everything heals before.
        late_ms: u64,
    },
    /// The app of a device gets a token that expires soon, in the middle of everything, and later
    /// another one, in time or too late. No connection breaks but by the server's decision.
    ExpireToken {
        /// The device.
        device: usize,
        /// How long the token is good, in milliseconds.
        #[serde(default)]
        lives_ms: u64,
        /// When the app gets the next one, in milliseconds after it got this one.
        #[serde(default)]
        renewed_after_ms: u64,
        /// How long the servers refuse the next one, in milliseconds from then on.
        #[serde(default)]
        refused_ms: u64,
    },
    /// A backup is taken of a server's database and disk, as they are at this instant, in place of
    /// the one before.
    Backup {
        /// The server.
        server: usize,
    },
    /// A server loses its power, and what is under it is put back to the backup, or to how it was
    /// when the world began. When it does not start on that, its operator orders a new history.
    /// In runs of several servers nothing happens.
    RestoreBackup {
        /// The server.
        server: usize,
        /// What is put back.
        part: BackupPart,
        /// Whether the devices are not told.
        silent: bool,
        /// How long it is gone, in milliseconds.
        down_ms: u64,
        /// In the middle of which input or output after that it loses its power again; 0: it does
        /// not.
        crash_after_io: u32,
    },
}

/// What is put back to a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BackupPart {
    /// The database; the journal is as it was left.
    Database,
    /// The disk with the journal; the database is as it was left.
    Disk,
    /// Both, which belong together.
    Both,
}

impl Fault {
    /// What kind of fault it is.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Cut { .. } => FaultKind::Cut,
            Self::Heal => FaultKind::Heal,
            Self::Links(_) => FaultKind::Links,
            Self::CrashServer { .. } => FaultKind::CrashServer,
            Self::CrashDevice { .. } => FaultKind::CrashDevice,
            Self::Clock { .. } => FaultKind::Clock,
            Self::ServerClock { .. } => FaultKind::ServerClock,
            Self::DiskFull { .. } => FaultKind::DiskFull,
            Self::DiskError { .. } => FaultKind::DiskError,
            Self::StoreError { .. } => FaultKind::StoreError,
            Self::StoreSlow { .. } => FaultKind::StoreSlow,
            Self::DatabaseError { .. } => FaultKind::DatabaseError,
            Self::DatabaseSlow { .. } => FaultKind::DatabaseSlow,
            Self::DatabaseRefuses { .. } => FaultKind::DatabaseRefuses,
            Self::DatabaseTears { .. } => FaultKind::DatabaseTears,
            Self::TakeOver { .. } => FaultKind::TakeOver,
            Self::ExpireToken { .. } => FaultKind::ExpireToken,
            Self::Backup { .. } => FaultKind::Backup,
            Self::RestoreBackup { .. } => FaultKind::RestoreBackup,
        }
    }

    /// The device that it hits, if it hits one.
    #[must_use]
    pub fn device(&self) -> Option<usize> {
        match self {
            Self::Cut { device, .. }
            | Self::CrashDevice { device, .. }
            | Self::Clock { device, .. }
            | Self::StoreError { device, .. }
            | Self::StoreSlow { device, .. }
            | Self::ExpireToken { device, .. } => Some(*device),
            _ => None,
        }
    }

    /// The server that it hits, if it hits one.
    #[must_use]
    pub fn server(&self) -> Option<usize> {
        match self {
            Self::CrashServer { server, .. }
            | Self::ServerClock { server, .. }
            | Self::DiskFull { server, .. }
            | Self::DiskError { server, .. }
            | Self::TakeOver { server, .. }
            | Self::Backup { server }
            | Self::RestoreBackup { server, .. } => Some(*server),
            _ => None,
        }
    }

    /// How long a party is down, in milliseconds; 0 if none is.
    pub(super) fn down_ms(&self) -> u64 {
        match self {
            Self::CrashServer { down_ms, .. }
            | Self::CrashDevice { down_ms, .. }
            | Self::RestoreBackup { down_ms, .. } => *down_ms,
            _ => 0,
        }
    }

    /// Whether a party loses its power.
    #[must_use]
    pub fn is_crash(&self) -> bool {
        matches!(
            self,
            Self::CrashServer { .. } | Self::CrashDevice { .. } | Self::RestoreBackup { .. }
        )
    }
}

/// A kind of fault, to say which ones a simulation draws, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FaultKind {
    /// [`Fault::Cut`]
    Cut,
    /// [`Fault::Heal`]
    Heal,
    /// [`Fault::Links`]
    Links,
    /// [`Fault::CrashServer`]
    CrashServer,
    /// [`Fault::CrashDevice`]
    CrashDevice,
    /// A [`Fault::CrashDevice`] longer than tombstones are kept, which
    /// [`Simulation::settings`](super::Simulation::settings) has to make an hour at most.
    LongAbsence,
    /// [`Fault::Clock`]
    Clock,
    /// [`Fault::ServerClock`]
    ServerClock,
    /// [`Fault::DiskFull`]
    DiskFull,
    /// [`Fault::DiskError`]
    DiskError,
    /// [`Fault::StoreError`]
    StoreError,
    /// [`Fault::StoreSlow`]
    StoreSlow,
    /// [`Fault::DatabaseError`]
    DatabaseError,
    /// [`Fault::DatabaseSlow`]
    DatabaseSlow,
    /// [`Fault::DatabaseRefuses`]
    DatabaseRefuses,
    /// [`Fault::DatabaseTears`]
    DatabaseTears,
    /// [`Fault::TakeOver`]
    TakeOver,
    /// [`Fault::ExpireToken`]
    ExpireToken,
    /// [`Fault::Backup`]
    Backup,
    /// [`Fault::RestoreBackup`]
    RestoreBackup,
}

/// What is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cast {
    pub(super) devices: usize,
    pub(super) servers: usize,
    /// How long tombstones are kept, in milliseconds.
    pub(super) retention_ms: u64,
}

/// The most input and output that passes before a crash in the middle of one.
const MOST_IO: u64 = 40;
/// About the input and output of a start that is refused and of one with a new history.
const MOST_IO_OF_START: u64 = 250;
/// How long the longest of the faults that last go on, in milliseconds.
const LONGEST_MS: u64 = 3000;

impl FaultKind {
    /// A fault of this kind.
    pub(super) fn draw(self, chance: &Executor, cast: Cast) -> Fault {
        let below = |bound: u64| chance.below(Stream::Plan, bound);
        let rolls = |percent| chance.chance(Stream::Plan, percent);
        let device = index(below(cast.devices as u64));
        let server = index(below(cast.servers as u64));
        let after_io = || {
            if rolls(50) {
                u32::try_from(1 + below(MOST_IO)).unwrap_or(1)
            } else {
                0
            }
        };
        match self {
            Self::Cut => cut(device, &rolls),
            Self::Heal => Fault::Heal,
            Self::Links => Fault::Links(links(below)),
            Self::CrashServer => Fault::CrashServer {
                server,
                silent: rolls(40),
                down_ms: below(1500),
                after_io: after_io(),
            },
            Self::CrashDevice => Fault::CrashDevice {
                device,
                silent: rolls(50),
                down_ms: below(2000),
                after_io: after_io(),
            },
            Self::LongAbsence => Fault::CrashDevice {
                device,
                silent: rolls(50),
                down_ms: cast.retention_ms + below(cast.retention_ms.max(1)),
                after_io: 0,
            },
            Self::Clock => Fault::Clock {
                device,
                offset_ms: offset(below),
                drift_ppm: signed(below(1000)) - 500,
            },
            Self::ServerClock => Fault::ServerClock {
                server,
                offset_ms: signed(below(10_000)) - 5000,
                drift_ppm: signed(below(1000)) - 500,
            },
            Self::DiskFull => Fault::DiskFull {
                server,
                for_ms: lasting(&below),
            },
            Self::DiskError => Fault::DiskError {
                server,
                sync: rolls(50),
                nth: 1 + below(20),
            },
            Self::StoreError | Self::StoreSlow => store(self, device, &below),
            Self::DatabaseError
            | Self::DatabaseSlow
            | Self::DatabaseRefuses
            | Self::DatabaseTears => database(self, &below),
            Self::TakeOver => Fault::TakeOver {
                server,
                late_ms: if rolls(30) { 0 } else { lasting(&below) },
            },
            Self::ExpireToken => expire_token(device, &below),
            Self::Backup => Fault::Backup { server },
            Self::RestoreBackup => restore_backup(server, &below, &rolls),
        }
    }
}

fn cut(device: usize, rolls: &impl Fn(u64) -> bool) -> Fault {
    let up = rolls(70);
    Fault::Cut {
        device,
        up,
        down: !up || rolls(60),
    }
}

/// Half of the renewals come in time, and most new tokens are good at once.
fn expire_token(device: usize, below: &impl Fn(u64) -> u64) -> Fault {
    let lives_ms = 100 + below(LONGEST_MS);
    Fault::ExpireToken {
        device,
        lives_ms,
        renewed_after_ms: below(2 * lives_ms),
        refused_ms: below(3 * LONGEST_MS).saturating_sub(2 * LONGEST_MS),
    }
}

fn restore_backup(
    server: usize,
    below: &impl Fn(u64) -> u64,
    rolls: &impl Fn(u64) -> bool,
) -> Fault {
    let part = match below(3) {
        0 => BackupPart::Database,
        1 => BackupPart::Disk,
        _ => BackupPart::Both,
    };
    let crash_after_io = if rolls(40) {
        below(MOST_IO_OF_START)
    } else {
        0
    };
    Fault::RestoreBackup {
        server,
        part,
        silent: rolls(40),
        down_ms: below(1500),
        crash_after_io: u32::try_from(crash_after_io).unwrap_or(0),
    }
}

fn store(kind: FaultKind, device: usize, below: &impl Fn(u64) -> u64) -> Fault {
    let for_ms = lasting(below);
    if kind == FaultKind::StoreError {
        return Fault::StoreError { device, for_ms };
    }
    Fault::StoreSlow {
        device,
        call_ms: 5 + below(200),
        for_ms,
    }
}

fn database(kind: FaultKind, below: &impl Fn(u64) -> u64) -> Fault {
    let for_ms = lasting(below);
    match kind {
        FaultKind::DatabaseError => Fault::DatabaseError { for_ms },
        FaultKind::DatabaseTears => Fault::DatabaseTears { for_ms },
        FaultKind::DatabaseRefuses => Fault::DatabaseRefuses {
            every: 1 + below(5),
            for_ms,
        },
        _ => Fault::DatabaseSlow {
            call_ms: 5 + below(300),
            for_ms,
        },
    }
}

/// How long a fault that lasts goes on, in milliseconds.
fn lasting(below: &impl Fn(u64) -> u64) -> u64 {
    50 + below(LONGEST_MS)
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(0)
}

/// Ten minutes fast, ten minutes slow, or a little off.
fn offset(below: impl Fn(u64) -> u64) -> i64 {
    match below(4) {
        0 => signed(FAR_OFF_MS),
        1 => -signed(FAR_OFF_MS),
        _ => signed(below(2000)) - 1000,
    }
}

fn links(below: impl Fn(u64) -> u64) -> LinkFaults {
    LinkFaults {
        delay_ms: (below(5), 5 + below(300)),
        drop_percent: below(8),
        duplicate_percent: below(8),
        reorder_percent: below(8),
        corrupt_percent: below(8),
        reset_percent: below(4),
    }
}
