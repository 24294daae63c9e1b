//! Where a text is no query, and what could stand there.

use winnow::error::ParserError;
use winnow::stream::Stream;

use super::input::Input;
use crate::error::{Error, ErrorKind};

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// What a parser met in place of what it can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// How many bytes of the text are left there.
    left: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Expected(&'static str),
    /// A whole sentence.
    Problem(String),
}

impl Fault {
    /// Something else than `what` stands at the front of `input`.
    pub(super) fn expected(input: &Input<'_>, what: &'static str) -> Self {
        let left = input.eof_offset();
        let what = What::Expected(what);
        Self { left, what }
    }

    /// What stands at the front of `input` cannot be taken.
    pub(super) fn problem(input: &Input<'_>, problem: impl Into<String>) -> Self {
        let left = input.eof_offset();
        let what = What::Problem(problem.into());
        Self { left, what }
    }

    /// The error that points into `text`, of which the fault was found.
    pub(super) fn into_error(self, text: &str) -> Error {
        let (before, rest) = text.split_at(text.len() - self.left);
        let column = before.chars().count() + 1;
        let message = match self.what {
            What::Expected(what) => {
                format!("column {column}: expected {what}, found {}", found(rest))
            }
            What::Problem(problem) => format!("column {column}: {problem}"),
        };
        Error::new(ErrorKind::Invalid, "parse query", message)
    }
}

/// In which column a text is no query, counted in characters from 1; none when `error` is of
/// something else than a place in the text.
///
/// ```
/// use grid_core::query::{Filter, fault_column};
///
/// let error = "done = yes".parse::<Filter>().expect_err("yes is no literal");
/// assert_eq!(fault_column(&error), Some(8));
/// ```
#[must_use]
pub fn fault_column(error: &Error) -> Option<usize> {
    let (column, _) = error.message().strip_prefix("column ")?.split_once(':')?;
    column.parse().ok()
}

/// The front of what stands there, as much as helps to find it.
fn found(rest: &str) -> String {
    const SHOWN_CHARS: usize = 16;
    let mut chars = rest.chars();
    let Some(first) = chars.next() else {
        return "the end".to_owned();
    };
    let is_of_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut shown = String::from(first);
    if is_of_word(&first) {
        shown.extend(chars.take_while(is_of_word).take(SHOWN_CHARS));
    }
    if first.is_control() {
        shown = first.escape_default().to_string();
    }
    format!("`{shown}`")
}

impl<'t> ParserError<Input<'t>> for Fault {
    type Inner = Self;

    fn from_input(input: &Input<'t>) -> Self {
        Self::expected(input, "something else")
    }

    fn into_inner(self) -> std::result::Result<Self, Self> {
        Ok(self)
    }
}
