//! Why somebody is not let in, or no longer.

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
