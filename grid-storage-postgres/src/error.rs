//! How the failures of PostgreSQL, sqlx and the network become the grid's errors.

use std::fmt;

use grid_core::{Error, ErrorKind};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::MAX_VALUE_BYTES;

/// What the database was asked when it failed, which decides what an error can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To take us in, to make the tables, to read: whatever fails there is no record's fault.
    ToServe,
    /// To change records. Only here a constraint, a trigger or a policy of the user's has a say,
    /// and only here what the database says may quote a record: so its words are not shown.
    ToChangeRecords,
}

/// What a SQLSTATE means to us: the kind, whether a retry helps, and what to do.
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

    fn of(code: &str, asked: Asked) -> Self {
        match (Self::of_server(code), asked) {
            (Some(meaning), _) => meaning,
            (None, Asked::ToServe) => {
                Self::new(ErrorKind::Internal, "PostgreSQL refused the statement")
            }
            (None, Asked::ToChangeRecords) if code.starts_with("54") => {
                Self::new(ErrorKind::TooLarge, "a record is too large for PostgreSQL")
            }
            (None, Asked::ToChangeRecords) => Self::refused(),
        }
    }

    fn refused() -> Self {
        Self::new(
            ErrorKind::Invalid,
            "the table refuses a record (a constraint, a trigger or a policy)",
        )
    }

    /// The states that are the server's, the connection's or the schema's: they are waited out.
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    ///
    /// All others are taken for a refusal of a record. Those are the classes of data, integrity,
    /// cardinality, limits and procedures (21, 22, 23, 27, 38, 44, 54, P0 and so on), every class
    /// that a trigger makes up, and what is not known, such as XX000, which is also how PL/Perl
    /// dies. That is the safe side for these: a refused record is put aside in the same database,
    /// by the same statement, before anything counts as stored. If the fault is the whole server's
    /// that fails too, and the partition waits; if not, the others are not held up, and nothing is
    /// lost.
    fn of_server(code: &str) -> Option<Self> {
        let class = code.get(..2).unwrap_or_default();
        Some(match (class, code) {
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
            // The state of a transaction or of a prepared statement: it ends with the connection.
            ("25" | "26" | "2D", _) => Self::new(
                ErrorKind::Unavailable,
                "the connection is in a state that is not ours; it is made anew",
            ),
            ("08" | "57", _) => Self::new(
                ErrorKind::Unavailable,
                "the database is starting, stopping or gone; it is tried again",
            ),
            ("40", _) => Self::passing(
                ErrorKind::Conflict,
                "another transaction was in the way; it is tried again",
            ),
            (_, "55P03" | "55006") => Self::passing(
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
            (_, "42501") => Self::new(
                ErrorKind::Forbidden,
                "the user may not do this; grant it CREATE on the database, or the schema with \
                 what is in it",
            ),
            // What a statement names, in ours or in a trigger: no other record would fare better.
            ("3F" | "42", _) => Self::new(
                ErrorKind::NotFound,
                "tables of the grid, or what a trigger on them uses, were dropped or changed \
                 while it runs; restore them",
            ),
            ("58", _) => Self::new(ErrorKind::Io, "the database's device failed; check it"),
            (_, "XX001" | "XX002") => Self::new(
                ErrorKind::Corrupt,
                "the database is damaged; restore it from a backup",
            ),
            (_, "") => Self::new(ErrorKind::Internal, "PostgreSQL refused the statement"),
            _ => return None,
        })
    }

    fn of_error(error: &sqlx::Error, asked: Asked) -> Self {
        match error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                if asked == Asked::ToChangeRecords && &*code == "42501" && !lacks_right(error) {
                    return Self::refused();
                }
                Self::of(&code, asked)
            }
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Self::new(
                ErrorKind::Unavailable,
                "the database cannot be reached, or the connection was lost; check that it runs",
            ),
            // Not a matter of records, as `Unsupported` would be.
            sqlx::Error::Tls(_) => Self {
                kind: ErrorKind::Unavailable,
                retryable: false,
                message: "TLS is not built in: write sslmode=disable within a trusted network, or \
                          go through a tunnel that encrypts",
            },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::new(ErrorKind::Corrupt, "a row does not hold what was stored")
            }
            sqlx::Error::Encode(_) if asked == Asked::ToChangeRecords => Self::refused(),
            _ => Self::new(ErrorKind::Internal, "sqlx refused the call"),
        }
    }
}

fn of_postgres(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Of "insufficient privilege": whether our own statement may not use the tables. It is a policy on
/// rows otherwise (row-level security says it with the same code), or a trigger.
fn lacks_right(error: &sqlx::Error) -> bool {
    of_postgres(error).is_some_and(|error| {
        let routine = error.routine().unwrap_or_default();
        routine.starts_with("aclcheck_error") && error.r#where().is_none()
    })
}

/// What sqlx says, about the database at `place`.
pub(crate) fn from_sqlx(
    operation: &'static str,
    place: &impl fmt::Display,
    asked: Asked,
    error: &sqlx::Error,
) -> Error {
    let meaning = Meaning::of_error(error, asked);
    let mut made = Error::new(meaning.kind, operation, meaning.message)
        .with_retryable(meaning.retryable)
        .with("database", place);
    let Some(database) = of_postgres(error) else {
        return made.with_source(error.to_string());
    };
    made = made.with("sqlstate", database.code());
    if asked == Asked::ToServe {
        return made.with_source(error.to_string());
    }
    // Names that somebody gave to parts of the schema, in place of a sentence.
    for (name, value) in [
        ("constraint", database.constraint()),
        ("table", database.table()),
        ("column", database.column()),
    ] {
        if let Some(value) = value {
            made = made.with(name, value);
        }
    }
    made
}

/// Whether the connection that met this error can go on.
pub(crate) fn keeps_connection(error: &sqlx::Error) -> bool {
    of_postgres(error).is_some_and(|error| {
        let fatal = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        // One that only reads is to a former primary: a new one may be to the present.
        let of_connection = ["25", "26", "2D"].contains(&error.code().get(..2).unwrap_or_default());
        !fatal && !of_connection
    })
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

    use Asked::{ToChangeRecords, ToServe};

    fn meaning(code: &str, asked: Asked) -> (ErrorKind, bool) {
        let meaning = Meaning::of(code, asked);
        (meaning.kind, meaning.retryable)
    }

    #[test]
    fn what_is_the_servers_is_so_whatever_was_asked() {
        for (code, kind, retryable) in [
            ("08006", ErrorKind::Unavailable, true),
            ("57P01", ErrorKind::Unavailable, true),
            ("57P03", ErrorKind::Unavailable, true),
            ("25006", ErrorKind::Unavailable, true),
            ("26000", ErrorKind::Unavailable, true),
            ("57014", ErrorKind::Timeout, true),
            ("53100", ErrorKind::Full, true),
            ("53200", ErrorKind::Overloaded, true),
            ("53300", ErrorKind::Overloaded, true),
            ("40001", ErrorKind::Conflict, true),
            ("40P01", ErrorKind::Conflict, true),
            ("55P03", ErrorKind::Locked, true),
            ("28P01", ErrorKind::Unauthorized, false),
            ("3D000", ErrorKind::NotFound, false),
            ("3F000", ErrorKind::NotFound, false),
            ("42P01", ErrorKind::NotFound, false),
            ("42703", ErrorKind::NotFound, false),
            ("42804", ErrorKind::NotFound, false),
            ("42501", ErrorKind::Forbidden, false),
            ("58030", ErrorKind::Io, false),
            ("XX001", ErrorKind::Corrupt, false),
            ("", ErrorKind::Internal, false),
        ] {
            for asked in [ToServe, ToChangeRecords] {
                assert_eq!(meaning(code, asked), (kind, retryable), "{code} {asked:?}");
            }
        }
    }

    #[test]
    fn what_is_not_the_servers_is_about_a_record_only_where_one_is_changed() {
        for (code, kind) in [
            ("23514", ErrorKind::Invalid),
            ("23505", ErrorKind::Invalid),
            ("22P05", ErrorKind::Invalid),
            ("P0001", ErrorKind::Invalid),
            ("ZZ001", ErrorKind::Invalid),
            ("00Z00", ErrorKind::Invalid),
            ("38000", ErrorKind::Invalid),
            ("55000", ErrorKind::Invalid),
            ("XX000", ErrorKind::Invalid),
            ("54000", ErrorKind::TooLarge),
        ] {
            assert_eq!(meaning(code, ToChangeRecords), (kind, false), "{code}");
            assert_eq!(
                meaning(code, ToServe),
                (ErrorKind::Internal, false),
                "{code}"
            );
        }
    }
}
