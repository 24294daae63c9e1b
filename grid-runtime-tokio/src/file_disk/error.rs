//! What the operating system says, as the grid's errors.

use std::io;
use std::path::Path;

use grid_core::{Error, ErrorKind};

/// The error of `operation` on `path`: its kind follows what the operating system said.
pub(super) fn at(operation: &'static str, path: &Path, error: io::Error) -> Error {
    let (kind, advice) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "there is no such file"),
        io::ErrorKind::StorageFull => (
            ErrorKind::Full,
            "the disk is full; make room, then try again",
        ),
        io::ErrorKind::QuotaExceeded => (
            ErrorKind::Full,
            "the disk quota is used up; make room, then try again",
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Io,
            "permission denied; this user must be able to read and write there",
        ),
        io::ErrorKind::NotADirectory => (
            ErrorKind::Io,
            "a file stands where a directory has to be; move it, or choose another path",
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Io, "the file system is mounted read-only")
        }
        _ => (ErrorKind::Io, "the operating system refused"),
    };
    Error::new(kind, operation, advice)
        .with("path", path.display())
        .with_source(error)
}

/// The error of every call once the disk's thread is gone.
pub(super) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the disk's thread has ended")
}
