//! How an error is told to a client whose connection ends by it.

use grid_core::protocol::{Goodbye, Message, Refused};
use grid_core::{Error, ErrorKind};

/// The protocol's number for the reason of a refusal or a goodbye.
fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Version => 1,
        ErrorKind::Unauthorized | ErrorKind::Forbidden => 2,
        ErrorKind::Overloaded
        | ErrorKind::Full
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::Internal
        | ErrorKind::Io => 3,
        ErrorKind::Closed => 4,
        ErrorKind::Unsupported => 6,
        _ => 5,
    }
}

/// The message that ends an agreed connection.
pub(crate) fn goodbye(error: &Error) -> Message {
    Message::Goodbye(Goodbye {
        code: code(error.kind()),
        message: error.to_string(),
    })
}

/// The message that ends a connection before anything is agreed.
pub(crate) fn refused(error: &Error) -> Message {
    Message::Refused(Refused {
        code: code(error.kind()),
        message: error.to_string(),
        retryable: error.is_retryable() || error.kind() == ErrorKind::Closed,
    })
}
