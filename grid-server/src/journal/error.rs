//! The journal's errors.

use grid_core::{Error, ErrorKind};

const APPEND: &str = "append to journal";

/// Stored bytes that are not what was written.
pub(super) fn corrupt(file: &str, offset: u64, found: impl Into<String>) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "read journal",
        format!(
            "{}; the medium lost acknowledged writes: restore the data directory from a backup, or \
             let the database be the truth: start `grid-server` once with --new-history",
            found.into()
        ),
    )
    .with("segment", file)
    .with("offset", offset)
}

/// The journal was closed.
pub(super) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the journal is closed")
}

/// The device refused, and nothing of the commit will be seen again.
pub(super) fn refused(cause: &Error) -> Error {
    let (kind, message) = match cause.kind() {
        ErrorKind::Full => (
            ErrorKind::Full,
            "the disk of the server's journal is full; nothing was appended",
        ),
        _ => (
            ErrorKind::Io,
            "the disk of the server's journal refused; nothing was appended",
        ),
    };
    Error::new(kind, APPEND, message)
        .with_retryable(true)
        .with("cause", cause)
}

/// The device refused the commit and then to take it back.
pub(super) fn unknown(cause: &Error) -> Error {
    Error::new(
        ErrorKind::Timeout,
        APPEND,
        "the disk of the server's journal refused; whether the batch survives a crash is not known",
    )
    .with("cause", cause)
}

/// The segment ends elsewhere than the journal knows: somebody else writes to it.
pub(super) fn elsewhere(file: &str, expected: u64, length: u64) -> Error {
    let message =
        format!("the file has {length} bytes, not {expected}: another program writes to it");
    Error::new(ErrorKind::Io, APPEND, message).with("segment", file)
}

/// The fence: the writer knows an older tail or has an older epoch.
pub(super) fn conflict(message: String) -> Error {
    Error::new(ErrorKind::Conflict, APPEND, message)
}

/// A batch beyond the bound.
pub(super) fn too_large(bytes: usize, most: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        APPEND,
        format!("a batch of {bytes} bytes; at most {most}"),
    )
}
