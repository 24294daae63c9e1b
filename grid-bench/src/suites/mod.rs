//! The suites, one file each.

mod core;
mod partition;
mod sample;
mod storage;

use grid_core::Result;

use crate::figure::Figure;

/// What can be measured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Nanoseconds of what every op pays: clock, digest and tree, decoding, encoding.
    Core,
    /// Ops that one core puts through a partition of a million entries, and where the time goes.
    Partition,
    /// Durable writes into SQLite, beside the bare statement.
    Storage,
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
            Self::Storage => storage::measure(),
        }
    }
}
