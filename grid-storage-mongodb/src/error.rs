//! How the failures of MongoDB and of its driver become the grid's errors.

use std::fmt;

use grid_core::{Error, ErrorKind};
use mongodb::error::{ErrorKind as MongoKind, WriteFailure};

/// What a failure means to us: the kind, whether a retry helps, and what to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    pub(crate) retryable: bool,
    message: &'static str,
}

impl Meaning {
    fn new(kind: ErrorKind, message: &'static str) -> Self {
        Self {
            kind,
            retryable: kind.is_retryable(),
            message,
        }
    }

    fn unavailable() -> Self {
        Self::new(
            ErrorKind::Unavailable,
            "the database cannot be reached, or has no primary now; it is tried again",
        )
    }

    fn unauthorized() -> Self {
        Self::new(
            ErrorKind::Unauthorized,
            "the database refuses user or password; correct the URL",
        )
    }

    fn refused() -> Self {
        Self::new(
            ErrorKind::Invalid,
            "the collection refuses a record (a validator or a unique index)",
        )
    }

    /// The meaning of a server's code.
    /// <https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml>
    pub(crate) fn of_code(code: i32) -> Self {
        match code {
            // Host unreachable or gone, shutting down, not the primary, steps down, starts up.
            6 | 7 | 89 | 91 | 189 | 9001 | 10_058 | 10_107 | 11_600 | 11_602 | 13_435 | 13_436 => {
                Self::unavailable()
            }
            11 | 18 => Self::unauthorized(),
            13 => Self::new(
                ErrorKind::Forbidden,
                "the user may not do this; grant it readWrite and dbAdmin on the database",
            ),
            50 | 64 | 202 | 262 => Self::new(
                ErrorKind::Timeout,
                "the database, or a majority of its members, did not answer in time",
            ),
            46 | 112 | 117 | 225 | 251 => Self {
                kind: ErrorKind::Conflict,
                retryable: true,
                message: "another operation was in the way; it is tried again",
            },
            146 | 365 | 11_601 => {
                Self::new(ErrorKind::Overloaded, "the database has too much to do")
            }
            14_031 => Self::new(
                ErrorKind::Full,
                "the database's disk is full; make room and it goes on",
            ),
            121 | 11_000 | 11_001 | 12_582 => Self::refused(),
            10_334 | 17_280 | 17_419 | 17_420 => {
                Self::new(ErrorKind::TooLarge, "a record is too large for MongoDB")
            }
            _ => Self::new(ErrorKind::Internal, "MongoDB refused the operation"),
        }
    }

    fn of_kind(kind: &MongoKind) -> Self {
        match kind {
            MongoKind::Io(_)
            | MongoKind::ServerSelection { .. }
            | MongoKind::ConnectionPoolCleared { .. }
            | MongoKind::DnsResolve { .. } => Self::unavailable(),
            MongoKind::Authentication { .. } => Self::unauthorized(),
            MongoKind::Command(command) => Self::of_code(command.code),
            MongoKind::Write(WriteFailure::WriteError(error)) => Self::of_code(error.code),
            MongoKind::Write(WriteFailure::WriteConcernError(error)) => {
                Self::of_write_concern(error.code)
            }
            MongoKind::InvalidResponse { .. } | MongoKind::BsonDeserialization(_) => Self::new(
                ErrorKind::Corrupt,
                "what the database answers cannot be read",
            ),
            MongoKind::InvalidTlsConfig { .. } => Self::new(
                ErrorKind::Invalid,
                "the TLS parameters of the URL cannot be used; check the files that they name",
            ),
            MongoKind::Shutdown => Self::new(ErrorKind::Closed, "the client was closed"),
            _ => Self::new(ErrorKind::Internal, "the driver refused the call"),
        }
    }

    /// What was written may not be on a majority yet: whether it will be is not known.
    pub(crate) fn of_write_concern(code: i32) -> Self {
        let meaning = Self::of_code(code);
        if meaning.retryable {
            meaning
        } else {
            Self::new(
                ErrorKind::Timeout,
                "not enough members of the replica set have acknowledged the write",
            )
        }
    }

    /// The error of `operation` on the database at `place`.
    pub(crate) fn error(self, operation: &'static str, place: &impl fmt::Display) -> Error {
        Error::new(self.kind, operation, self.message)
            .with_retryable(self.retryable)
            .with("database", place)
    }
}

/// What the driver says, about the database at `place`.
pub(crate) fn from_mongo(
    operation: &'static str,
    place: &impl fmt::Display,
    error: &mongodb::error::Error,
) -> Error {
    let meaning = Meaning::of_kind(&error.kind);
    // It was not known whether the server is there until its password was refused.
    let meaning = match &*error.kind {
        MongoKind::ServerSelection { message, .. } if message.contains("uthentication") => {
            Meaning::unauthorized()
        }
        _ => meaning,
    };
    let made = meaning.error(operation, place);
    match &*error.kind {
        MongoKind::Command(command) => made
            .with("code", command.code)
            .with_source(error.kind.to_string()),
        // Its text may quote a document.
        MongoKind::Write(_) => made,
        // Without the answer that the driver quotes with it.
        kind => made.with_source(kind.to_string()),
    }
}

pub(crate) fn closed(operation: &'static str, place: &impl fmt::Display) -> Error {
    Error::new(
        ErrorKind::Closed,
        operation,
        "the system of record was closed; open it again",
    )
    .with("database", place)
}

pub(crate) fn too_large(operation: &'static str, bytes: usize, most: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        operation,
        format!("{bytes} bytes; at most {most} are allowed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_kind_that_says_what_helps() {
        for (code, kind, retryable) in [
            (10_107, ErrorKind::Unavailable, true),
            (11_600, ErrorKind::Unavailable, true),
            (91, ErrorKind::Unavailable, true),
            (18, ErrorKind::Unauthorized, false),
            (13, ErrorKind::Forbidden, false),
            (50, ErrorKind::Timeout, true),
            (112, ErrorKind::Conflict, true),
            (14_031, ErrorKind::Full, true),
            (121, ErrorKind::Invalid, false),
            (11_000, ErrorKind::Invalid, false),
            (10_334, ErrorKind::TooLarge, false),
            (59, ErrorKind::Internal, false),
        ] {
            let meaning = Meaning::of_code(code);
            assert_eq!(
                (meaning.kind, meaning.retryable),
                (kind, retryable),
                "{code}"
            );
        }
        assert!(Meaning::of_write_concern(100).retryable);
    }
}
