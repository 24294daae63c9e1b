//! Why something is not let in.

use grid_core::{Error, ErrorKind};

/// What people are told.
pub(super) const BUSY: &str = "the server has as much to do as it may take in; try again later";

/// Too much waits already.
pub(super) fn busy() -> Error {
    Error::new(ErrorKind::Overloaded, "shed load", BUSY)
}
