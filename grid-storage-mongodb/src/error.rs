//! How the failures of MongoDB and of its driver become the grid's errors.

use std::fmt;

use grid_core::{Error, ErrorKind};
use mongodb::error::{ErrorKind as MongoKind, WriteFailure};

use crate::MAX_VALUE_BYTES;

/// What the database was asked when it failed, which decides what an error can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To take us in, to make what is missing, to read: whatever fails there is no record's fault.
    ToServe,
    /// To change records. Only here a validator or an index of the user's has a say, and only here
    /// what the database says may quote a record: so its words are not shown.
    ToChangeRecords,
}

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
            "the collection refuses a record (a validator, a unique index or another index)",
        )
    }

    /// The meaning of a server's code.
    pub(crate) fn of_code(code: i32, asked: Asked) -> Self {
        match (Self::of_server(code), asked) {
            (Some(meaning), _) => meaning,
            (None, Asked::ToServe) => {
                Self::new(ErrorKind::Internal, "MongoDB refused the operation")
            }
            (None, Asked::ToChangeRecords) => match code {
                10_334 | 17_280 | 17_282 | 17_419 | 17_420 => {
                    Self::new(ErrorKind::TooLarge, "a record is too large for MongoDB")
                }
                _ => Self::refused(),
            },
        }
    }

    /// The codes that are the server's, the connection's or the set-up's: they are waited out.
    /// <https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml>
    ///
    /// All others are taken for a refusal of a record: 121 of a validator, 11000 of a unique index,
    /// 171 of an index over two lists, those of geographical and text indexes (16755, 17262 and a
    /// number of others), and what is not known. That is the safe side for these: a refused record
    /// is put aside in the same collection before anything counts as stored. If the fault is the
    /// whole server's that fails too, and the partition waits; if not, the others are not held up,
    /// and nothing is lost.
    fn of_server(code: i32) -> Option<Self> {
        Some(match code {
            // Host unreachable or gone, shutting down, not the primary, steps down, starts up, no
            // majority to read from yet.
            6 | 7 | 89 | 91 | 133 | 134 | 189 | 9001 | 10_058 | 10_107 | 11_600 | 11_602
            | 13_435 | 13_436 => Self::unavailable(),
            11 | 18 => Self::unauthorized(),
            13 => Self::new(
                ErrorKind::Forbidden,
                "the user may not do this; grant it readWrite and dbAdmin on the database",
            ),
            50 | 64 | 202 | 262 => Self::new(
                ErrorKind::Timeout,
                "the database, or a majority of its members, did not answer in time",
            ),
            // Locks, conflicts of writes and of transactions, and a view of the shards that is old.
            24 | 46 | 63 | 112 | 117 | 150 | 225 | 251 | 13_388 => Self {
                kind: ErrorKind::Conflict,
                retryable: true,
                message: "another operation was in the way; it is tried again",
            },
            146 | 365 | 462 | 11_601 => {
                Self::new(ErrorKind::Overloaded, "the database has too much to do")
            }
            14_031 => Self::new(
                ErrorKind::Full,
                "the database's disk is full; make room and it goes on",
            ),
            26 => Self::new(
                ErrorKind::NotFound,
                "collections of the grid were dropped while it runs; restore them",
            ),
            // Illegal or unknown commands and options, write concerns that no set-up satisfies, and
            // a view in the place of the collection: no other record would fare better.
            20 | 59 | 72 | 79 | 100 | 115 | 166 => Self::new(
                ErrorKind::Internal,
                "MongoDB cannot do this as it is set up; see the code",
            ),
            _ => return None,
        })
    }

    fn of_kind(kind: &MongoKind, asked: Asked) -> Self {
        match kind {
            MongoKind::Io(_)
            | MongoKind::ServerSelection { .. }
            | MongoKind::ConnectionPoolCleared { .. }
            | MongoKind::DnsResolve { .. } => Self::unavailable(),
            MongoKind::Authentication { .. } => Self::unauthorized(),
            MongoKind::Command(command) => Self::of_code(command.code, asked),
            MongoKind::Write(WriteFailure::WriteError(error)) => Self::of_code(error.code, asked),
            MongoKind::Write(WriteFailure::WriteConcernError(error)) => {
                Self::of_write_concern(error.code)
            }
            MongoKind::InvalidResponse { .. } | MongoKind::BsonDeserialization(_) => Self::new(
                ErrorKind::Corrupt,
                "what the database answers cannot be read",
            ),
            // Not a matter of records, as `Invalid` would be.
            MongoKind::InvalidTlsConfig { .. } => Self {
                kind: ErrorKind::Unavailable,
                retryable: false,
                message: "the TLS parameters of the URL cannot be used; check the files that they \
                          name",
            },
            MongoKind::InvalidArgument { .. }
            | MongoKind::BsonSerialization(_)
            | MongoKind::Bson(_)
                if asked == Asked::ToChangeRecords =>
            {
                Self::refused()
            }
            MongoKind::Shutdown => Self::new(ErrorKind::Closed, "the client was closed"),
            _ => Self::new(ErrorKind::Internal, "the driver refused the call"),
        }
    }

    /// What was written may not be on a majority yet: whether it will be is not known.
    pub(crate) fn of_write_concern(code: i32) -> Self {
        match Self::of_server(code) {
            Some(meaning) if meaning.retryable => meaning,
            _ => Self::new(
                ErrorKind::Timeout,
                "not enough members of the replica set have acknowledged the write",
            ),
        }
    }

    /// What an error says for a command that met several: whatever passes first, for it is tried
    /// again; then what is the server's; only then what is refused.
    pub(crate) fn precedence(self) -> u8 {
        match self.kind {
            _ if self.retryable => 0,
            ErrorKind::Invalid | ErrorKind::TooLarge => 2,
            _ => 1,
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
    asked: Asked,
    error: &mongodb::error::Error,
) -> Error {
    let meaning = Meaning::of_kind(&error.kind, asked);
    // It was not known whether the server is there until its password was refused.
    let meaning = match &*error.kind {
        MongoKind::ServerSelection { message, .. } if message.contains("uthentication") => {
            Meaning::unauthorized()
        }
        _ => meaning,
    };
    let made = meaning.error(operation, place);
    match &*error.kind {
        MongoKind::Command(command) => {
            let made = made.with("code", command.code);
            match asked {
                Asked::ToServe => made.with_source(error.kind.to_string()),
                Asked::ToChangeRecords => made,
            }
        }
        MongoKind::Write(WriteFailure::WriteError(error)) => made.with("code", error.code),
        // Their texts may quote a document.
        MongoKind::Write(_)
        | MongoKind::InvalidArgument { .. }
        | MongoKind::InvalidResponse { .. }
        | MongoKind::BsonDeserialization(_)
        | MongoKind::BsonSerialization(_)
        | MongoKind::Bson(_) => made,
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

pub(crate) fn too_large(operation: &'static str, bytes: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        operation,
        format!("a value of {bytes} bytes; at most {MAX_VALUE_BYTES} are allowed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use Asked::{ToChangeRecords, ToServe};

    fn meaning(code: i32, asked: Asked) -> (ErrorKind, bool) {
        let meaning = Meaning::of_code(code, asked);
        (meaning.kind, meaning.retryable)
    }

    #[test]
    fn what_is_the_servers_is_so_whatever_was_asked() {
        for (code, kind, retryable) in [
            (10_107, ErrorKind::Unavailable, true),
            (11_600, ErrorKind::Unavailable, true),
            (91, ErrorKind::Unavailable, true),
            (134, ErrorKind::Unavailable, true),
            (18, ErrorKind::Unauthorized, false),
            (13, ErrorKind::Forbidden, false),
            (50, ErrorKind::Timeout, true),
            (112, ErrorKind::Conflict, true),
            (13_388, ErrorKind::Conflict, true),
            (14_031, ErrorKind::Full, true),
            (26, ErrorKind::NotFound, false),
            (59, ErrorKind::Internal, false),
            (20, ErrorKind::Internal, false),
        ] {
            for asked in [ToServe, ToChangeRecords] {
                assert_eq!(meaning(code, asked), (kind, retryable), "{code} {asked:?}");
            }
        }
    }

    #[test]
    fn what_is_not_the_servers_is_about_a_record_only_where_one_is_changed() {
        for (code, kind) in [
            (121, ErrorKind::Invalid),
            (11_000, ErrorKind::Invalid),
            (11_001, ErrorKind::Invalid),
            (12_582, ErrorKind::Invalid),
            (171, ErrorKind::Invalid),
            (16_755, ErrorKind::Invalid),
            (17_262, ErrorKind::Invalid),
            (987_654, ErrorKind::Invalid),
            (10_334, ErrorKind::TooLarge),
            (17_280, ErrorKind::TooLarge),
        ] {
            assert_eq!(meaning(code, ToChangeRecords), (kind, false), "{code}");
            assert_eq!(
                meaning(code, ToServe),
                (ErrorKind::Internal, false),
                "{code}"
            );
        }
    }

    #[test]
    fn a_write_that_too_few_acknowledge_is_always_tried_again() {
        for (code, kind) in [
            (64, ErrorKind::Timeout),
            (91, ErrorKind::Unavailable),
            (100, ErrorKind::Timeout),
            (121, ErrorKind::Timeout),
            (987_654, ErrorKind::Timeout),
        ] {
            let meaning = Meaning::of_write_concern(code);
            assert_eq!((meaning.kind, meaning.retryable), (kind, true), "{code}");
        }
    }
}
