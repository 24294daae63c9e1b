//! The suites, one file each.

mod core;
mod journal;
mod partition;
mod persistence;
mod sample;
mod storage;

use std::time::Duration;

use grid_core::Result;

use crate::figure::Figure;

/// What can be measured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Nanoseconds of what every op pays: clock, digest and tree, decoding, encoding.
    Core,
    /// Ops that one core puts through a partition of a million entries, and where the time goes.
    Partition,
    /// Journalled appends, beside the bare write and fdatasync.
    Journal,
    /// Durable writes into SQLite, beside the bare statement.
    Storage,
    /// Batches into PostgreSQL, SQLite and MongoDB, beside the bare statements.
    Persistence,
}

impl Suite {
    /// Measures every case of the suite.
    ///
    /// # Errors
    /// When the grid fails at what is measured.
    pub(crate) fn measure(self) -> Result<Vec<Figure>> {
        match self {
            Self::Core => core::measure(),
            Self::Partition => partition::measure(),
            Self::Journal => journal::measure(),
            Self::Storage => storage::measure(),
            Self::Persistence => persistence::measure(),
        }
    }
}

/// The time in the middle.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
