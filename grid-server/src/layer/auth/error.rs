//! Why somebody is not let in, or no longer.

use std::time::Duration;

use grid_core::{Error, ErrorKind};

/// A token has expired on this server's clock.
pub(super) fn expired() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        "check token",
        "the token has expired; renew it",
    )
}

/// A renewed token is somebody else's.
pub(super) fn of_another_principal() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        "renew token",
        "the new token is of another principal; connect anew",
    )
}

/// Nobody said what a renewed token is worth.
pub(super) fn not_in_time(after: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "renew token",
        format!(
            "the new token could not be looked at within {} ms; connect again later",
            after.as_millis()
        ),
    )
}
