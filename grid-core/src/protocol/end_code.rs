//! Why a connection ends, as a number that both sides know.

use crate::error::{Error, ErrorKind};

/// The number of an end because a frame was damaged on its way.
pub const DAMAGED_FRAME: u8 = 7;

/// The number by which `error` is told to the other side, in a [`super::Refused`] or a
/// [`super::Goodbye`].
#[must_use]
pub fn end_code(error: &Error) -> u8 {
    match error.kind() {
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
        ErrorKind::Corrupt if error.is_retryable() => DAMAGED_FRAME,
        _ => 5,
    }
}

/// The error that the other side ended the connection with, by its number; `retryable` when it did
/// not say.
#[must_use]
pub(crate) fn error_of_code(
    code: u8,
    operation: &'static str,
    message: String,
    retryable: Option<bool>,
) -> Error {
    let kind = match code {
        1 => ErrorKind::Version,
        2 => ErrorKind::Unauthorized,
        3 => ErrorKind::Overloaded,
        4 => ErrorKind::Unavailable,
        6 => ErrorKind::Unsupported,
        DAMAGED_FRAME => ErrorKind::Corrupt,
        _ => ErrorKind::Protocol,
    };
    // What a line damaged, it may bring whole the next time.
    let retryable = retryable.unwrap_or(kind.is_retryable() || kind == ErrorKind::Corrupt);
    Error::new(kind, operation, message).with_retryable(retryable)
}

/// Whether `error` says that a frame was damaged on its way, to here or to the other side.
#[must_use]
pub fn is_damaged_frame(error: &Error) -> bool {
    end_code(error) == DAMAGED_FRAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        for kind in [
            ErrorKind::Version,
            ErrorKind::Unauthorized,
            ErrorKind::Overloaded,
            ErrorKind::Unsupported,
            ErrorKind::Protocol,
        ] {
            let told = Error::new(kind, "test", "");
            let heard = error_of_code(end_code(&told), "test", String::new(), None);
            assert_eq!(heard.kind(), kind);
            assert!(!is_damaged_frame(&heard));
        }
        let damaged = Error::new(ErrorKind::Corrupt, "test", "").with_retryable(true);
        let heard = error_of_code(end_code(&damaged), "test", String::new(), None);
        assert!(is_damaged_frame(&heard) && heard.is_retryable());
        // What is wrong with a store is not the line's fault.
        let store = Error::new(ErrorKind::Corrupt, "test", "");
        assert!(!is_damaged_frame(&store));
    }
}
