//! How a command ended, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use hybrid_grid::query::fault_column;
use hybrid_grid::{Error, ErrorKind};

use crate::output::plain;

/// The result of a command, and of what it is made of.
pub(crate) type Result<T, E = Stop> = std::result::Result<T, E>;

/// The exit code of an end by SIGINT, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything asked for was done.
    Done,
    /// Kept on this device, but not everything reached the server in time.
    Pending,
    /// There is no such entry or letter.
    Absent,
    /// The server rejected it, which was told on standard error.
    Rejected,
    /// The server is degraded.
    Degraded,
    /// The user ended it.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Rejected => 1,
            Outcome::Pending => 3,
            Outcome::Absent => 4,
            Outcome::Degraded => 5,
            Outcome::Interrupted => INTERRUPTED,
        })
    }
}

/// Why a command did not come to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command line asks for what cannot be.
    Usage(Error),
    /// An option of the command line has a text that cannot be read.
    Text {
        /// The option.
        option: &'static str,
        /// Its text.
        text: String,
        /// Why not, and where.
        error: Error,
    },
    /// Something failed.
    Failed(Error),
    /// The server does not let this device in, or its URL cannot be.
    Refused {
        /// Its URL.
        server: String,
        /// What it said, or what is wrong with the URL.
        message: String,
    },
    /// Whoever read standard output has enough.
    ReaderGone,
}

impl Stop {
    /// The exit code. That the reader has enough is its own choice, and no failure.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::ReaderGone => 0,
            Self::Failed(_) | Self::Refused { .. } => 1,
            Self::Usage(_) | Self::Text { .. } => 2,
        })
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) | Self::Failed(error) => error.fmt(f),
            Self::Refused { server, message } => {
                write!(f, "cannot connect to {server}: {message}")
            }
            Self::Text {
                option,
                text,
                error,
            } => {
                write!(f, "{option}: {}", error.message())?;
                match fault_column(error) {
                    Some(column) => write!(f, "\n{}", pointed(text, column)),
                    None => Ok(()),
                }
            }
            Self::ReaderGone => f.write_str("nobody reads standard output any more"),
        }
    }
}

/// A text with a caret under the character at `column`, from 1.
fn pointed(text: &str, column: usize) -> String {
    format!("  {}\n  {:>column$}", plain(text), '^')
}

/// An error of the command line.
pub(crate) fn usage(operation: &'static str, message: impl Into<String>) -> Stop {
    Stop::Usage(Error::new(ErrorKind::Invalid, operation, message))
}
