//! How an error is told to a client whose connection ends by it.

use grid_core::protocol::{Goodbye, Message, Refused, end_code};
use grid_core::{Error, ErrorKind};

/// The message that ends an agreed connection.
pub(crate) fn goodbye(error: &Error) -> Message {
    Message::Goodbye(Goodbye {
        code: end_code(error),
        message: error.to_string(),
    })
}

/// The message that ends a connection before anything is agreed.
pub(crate) fn refused(error: &Error) -> Message {
    Message::Refused(Refused {
        code: end_code(error),
        message: error.to_string(),
        retryable: error.is_retryable() || error.kind() == ErrorKind::Closed,
    })
}
