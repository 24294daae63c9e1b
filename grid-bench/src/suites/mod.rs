//! The suites, one file each.

mod core;

use crate::figure::Figure;

/// What can be measured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Nanoseconds of what every op pays: clock, digest and tree, decoding, encoding.
    Core,
}

impl Suite {
    /// Measures every case of the suite.
    pub(crate) fn measure(self) -> Vec<Figure> {
        match self {
            Self::Core => core::measure(),
        }
    }
}
