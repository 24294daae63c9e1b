//! What is told when the time is over.

use std::time::Duration;

use grid_core::{Error, ErrorKind};

/// A request took too long.
pub(super) fn too_late(after: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "serve",
        format!(
            "the server did not get to a request within {} ms; connect again later",
            after.as_millis()
        ),
    )
}
