//! Why something is not let in.

use std::time::Duration;

use grid_core::{Error, ErrorKind};

/// What came was more than may come; there is room after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exceeded(pub(super) Duration);

impl Exceeded {
    /// What people are told.
    pub(super) fn message(self) -> String {
        format!(
            "more ops a second than this server takes; there is room in {} ms",
            self.0.as_millis()
        )
    }

    /// What a connection ends with. No `From`: an error that has one conversion in all is inferred
    /// wherever this crate is used.
    pub(super) fn into_error(self) -> Error {
        Error::new(ErrorKind::Overloaded, "limit rate", self.message())
    }
}
