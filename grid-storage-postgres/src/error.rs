//! How the failures of PostgreSQL, sqlx and the network become the grid's errors.

use std::fmt;

use grid_core::{Error, ErrorKind};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::MAX_VALUE_BYTES;

/// What a SQLSTATE means to us: the kind, whether a retry helps, and what to do.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
struct Meaning {
    kind: ErrorKind,
    retryable: bool,
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

    /// Something that passes without the caller changing anything.
    fn passing(kind: ErrorKind, message: &'static str) -> Self {
        Self {
            kind,
            retryable: true,
            message,
        }
    }

    fn of(code: &str) -> Self {
        let class = code.get(..2).unwrap_or_default();
        match (class, code) {
            (_, "57014") => Self::new(
                ErrorKind::Timeout,
                "a statement took too long and was cancelled; see `statement_timeout`",
            ),
            (_, "53100") => Self::new(
                ErrorKind::Full,
                "the database's disk is full; make room and it goes on",
            ),
            ("53", _) => Self::new(
                ErrorKind::Overloaded,
                "the database has no connections or memory left; it is tried again",
            ),
            (_, "25006") => Self::new(
                ErrorKind::Unavailable,
                "the database only reads now (a standby, or set so); name the primary",
            ),
            ("08" | "57", _) => Self::new(
                ErrorKind::Unavailable,
                "the database is starting, stopping or gone; it is tried again",
            ),
            ("40", _) => Self::passing(
                ErrorKind::Conflict,
                "another transaction was in the way; it is tried again",
            ),
            ("55", _) => Self::passing(
                ErrorKind::Locked,
                "somebody holds a lock on the tables; end that transaction",
            ),
            ("28", _) => Self::new(
                ErrorKind::Unauthorized,
                "the database refuses user or password; correct the URL",
            ),
            (_, "3D000") => Self::new(
                ErrorKind::NotFound,
                "the database does not exist; create it, or correct the URL",
            ),
            ("3F", _) | (_, "42P01" | "42703" | "42883") => Self::new(
                ErrorKind::NotFound,
                "tables of the grid were dropped or changed while it runs; restore them",
            ),
            (_, "42501") => Self::new(
                ErrorKind::Forbidden,
                "the user may not do this; grant it CREATE on the database, or the schema with \
                 what is in it",
            ),
            ("54", _) => Self::new(ErrorKind::TooLarge, "a record is too large for PostgreSQL"),
            ("21" | "22" | "23" | "27" | "44" | "P0", _) => Self::new(
                ErrorKind::Invalid,
                "the table refuses a record (a constraint or a trigger)",
            ),
            ("58", _) => Self::new(ErrorKind::Io, "the database's device failed; check it"),
            ("XX", _) => Self::new(
                ErrorKind::Corrupt,
                "the database is damaged; restore it from a backup",
            ),
            _ => Self::new(ErrorKind::Internal, "PostgreSQL refused the statement"),
        }
    }
}

/// What sqlx says, about the database at `place`.
pub(crate) fn from_sqlx(
    operation: &'static str,
    place: &impl fmt::Display,
    error: sqlx::Error,
) -> Error {
    let meaning = match &error {
        sqlx::Error::Database(database) => database
            .code()
            .map_or_else(|| Meaning::of(""), |code| Meaning::of(&code)),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Meaning::new(
            ErrorKind::Unavailable,
            "the database cannot be reached, or the connection was lost; check that it runs",
        ),
        sqlx::Error::Tls(_) => Meaning::new(
            ErrorKind::Unsupported,
            "TLS is not built in: write sslmode=disable within a trusted network, or go through a \
             tunnel that encrypts",
        ),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Meaning::new(ErrorKind::Corrupt, "a row does not hold what was stored")
        }
        _ => Meaning::new(ErrorKind::Internal, "sqlx refused the call"),
    };
    let code = error
        .as_database_error()
        .and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    let mut made = Error::new(meaning.kind, operation, meaning.message)
        .with_retryable(meaning.retryable)
        .with("database", place);
    if let Some(code) = code {
        made = made.with("sqlstate", code);
    }
    // Its sentence names a constraint; the values of the row are in a detail that it does not show.
    made.with_source(error)
}

/// Whether the connection that met this error can go on.
pub(crate) fn keeps_connection(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else {
        return false;
    };
    database
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// A row that holds what the grid never wrote.
pub(crate) fn damaged_row(place: &impl fmt::Display, source: Error) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "read postgres row",
        "a row does not hold what was stored; restore the table from a backup",
    )
    .with("database", place)
    .with_source(source)
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

    #[test]
    fn each_failure_has_a_kind_that_says_what_helps() {
        for (code, kind, retryable) in [
            ("08006", ErrorKind::Unavailable, true),
            ("57P01", ErrorKind::Unavailable, true),
            ("57P03", ErrorKind::Unavailable, true),
            ("25006", ErrorKind::Unavailable, true),
            ("57014", ErrorKind::Timeout, true),
            ("53100", ErrorKind::Full, true),
            ("53200", ErrorKind::Overloaded, true),
            ("53300", ErrorKind::Overloaded, true),
            ("40001", ErrorKind::Conflict, true),
            ("40P01", ErrorKind::Conflict, true),
            ("55P03", ErrorKind::Locked, true),
            ("28P01", ErrorKind::Unauthorized, false),
            ("3D000", ErrorKind::NotFound, false),
            ("42P01", ErrorKind::NotFound, false),
            ("42501", ErrorKind::Forbidden, false),
            ("23514", ErrorKind::Invalid, false),
            ("23505", ErrorKind::Invalid, false),
            ("22P05", ErrorKind::Invalid, false),
            ("P0001", ErrorKind::Invalid, false),
            ("54000", ErrorKind::TooLarge, false),
            ("XX001", ErrorKind::Corrupt, false),
            ("42601", ErrorKind::Internal, false),
            ("", ErrorKind::Internal, false),
        ] {
            let meaning = Meaning::of(code);
            assert_eq!(
                (meaning.kind, meaning.retryable),
                (kind, retryable),
                "{code}"
            );
        }
    }
}
