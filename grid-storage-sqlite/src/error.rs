//! How the failures of SQLite, sqlx and the file system become the grid's errors.

use std::io;
use std::path::Path;

use grid_core::{Error, ErrorKind};

use crate::MAX_VALUE_BYTES;

/// The extended result code with which `RAISE` in a trigger ends a statement.
const TRIGGER: &str = "1811";

/// A primary result code of SQLite, or an extended one where it means something of its own.
/// <https://www.sqlite.org/rescode.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Busy,
    Corrupt,
    Full,
    ReadOnly,
    CannotOpen,
    TooBig,
    Constraint,
    InputOutput,
    Other,
}

impl Code {
    fn of(number: u32) -> Self {
        // The shared-memory file could not grow: the only cause that SQLite knows is a full disk.
        const IOERR_SHMSIZE: u32 = 10 | (19 << 8);
        match (number, number & 0xFF) {
            (IOERR_SHMSIZE, _) | (_, 13) => Self::Full,
            (_, 5 | 6) => Self::Busy,
            (_, 11 | 26) => Self::Corrupt,
            (_, 8 | 3 | 23) => Self::ReadOnly,
            (_, 14) => Self::CannotOpen,
            (_, 18) => Self::TooBig,
            (_, 19) => Self::Constraint,
            (_, 10) => Self::InputOutput,
            _ => Self::Other,
        }
    }

    fn kind_and_message(self) -> (ErrorKind, &'static str) {
        match self {
            Self::Busy => (
                ErrorKind::Locked,
                "another program has the database locked; close it there",
            ),
            Self::Corrupt => (
                ErrorKind::Corrupt,
                "the file is damaged or no SQLite database; move it (and its -wal and -shm) away \
                 to start afresh, or restore it from a backup",
            ),
            Self::Full => (
                ErrorKind::Full,
                "the disk is full, or the file has reached its bound; make room and try again",
            ),
            Self::ReadOnly => (
                ErrorKind::Io,
                "the file or its directory cannot be written; check their permissions",
            ),
            Self::CannotOpen => (
                ErrorKind::Io,
                "the file cannot be opened; check that its directory exists and can be written",
            ),
            Self::TooBig => (ErrorKind::TooLarge, "a value is too large for SQLite"),
            Self::Constraint => (
                ErrorKind::Invalid,
                "a constraint or a trigger of the table refuses a record",
            ),
            Self::InputOutput => (ErrorKind::Io, "the device failed; check it"),
            Self::Other => (ErrorKind::Internal, "SQLite refused the statement"),
        }
    }
}

/// What sqlx says, about the file at `path`.
pub(crate) fn from_sqlx(operation: &'static str, path: &Path, error: sqlx::Error) -> Error {
    let (kind, message) = match &error {
        sqlx::Error::Database(database) => {
            let number = database.code().and_then(|code| code.parse().ok());
            number.map_or(Code::Other, Code::of).kind_and_message()
        }
        sqlx::Error::Io(_) => (ErrorKind::Io, "the file cannot be used"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, "a row does not hold what was stored")
        }
        sqlx::Error::WorkerCrashed => (ErrorKind::Internal, "the thread of a connection ended"),
        _ => (ErrorKind::Internal, "sqlx refused the call"),
    };
    let of_trigger = error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == TRIGGER);
    let made = Error::new(kind, operation, message).with("path", path.display());
    // What a trigger says may quote a record; all else names parts of the schema.
    let made = match of_trigger {
        true => made,
        false => made.with_source(error),
    };
    // Somebody else's lock goes away without this caller changing anything.
    match kind {
        ErrorKind::Locked => made.with_retryable(true),
        _ => made,
    }
}

/// What the file system says, about `path`.
pub(crate) fn from_io(operation: &'static str, path: &Path, error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
            ErrorKind::Io,
            "the file or its directory cannot be used; check their permissions",
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Full, "the disk is full; make room and try again")
        }
        _ => (ErrorKind::Io, "the operating system refused"),
    };
    Error::new(kind, operation, message)
        .with("path", path.display())
        .with_source(error)
}

/// A row that holds what the grid never wrote.
pub(crate) fn damaged_row(path: &Path, source: Error) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "read sqlite row",
        "a row does not hold what was stored; restore the file from a backup",
    )
    .with("path", path.display())
    .with_source(source)
}

pub(crate) fn closed(operation: &'static str, path: &Path) -> Error {
    Error::new(
        ErrorKind::Closed,
        operation,
        "the file was closed; open it again",
    )
    .with("path", path.display())
}

pub(crate) fn too_large(operation: &'static str, bytes: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        operation,
        format!("a value of {bytes} bytes; at most {MAX_VALUE_BYTES} are allowed"),
    )
}
