//! Why something is not let in.

use std::time::Duration;

use grid_core::{Error, ErrorKind};

/// What came was more than may come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// There is room for it after this time.
    For(Duration),
    /// It is more than there ever is room for at once: so many ops.
    Always(u32),
}

impl Exceeded {
    /// What people are told.
    pub(super) fn message(&self) -> String {
        match self {
            Self::For(wait) => format!(
                "more ops a second than this server takes; there is room in {} ms",
                wait.as_millis()
            ),
            Self::Always(most) => format!("more ops at once than this server takes: {most}"),
        }
    }

    /// What a connection ends with. No `From`: an error that has one conversion in all is inferred
    /// wherever this crate is used.
    pub(super) fn into_error(self) -> Error {
        Error::new(ErrorKind::Overloaded, "limit rate", self.message())
    }
}
