//! What the program prints: text for people, or one JSON object a line.

use std::io::{self, Write};

use hybrid_grid::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::exit::{Result, Stop};

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl Output {
    /// Prints one entry, as `ls` and `watch` show it; no value means that it was removed.
    ///
    /// # Errors
    /// [`Stop::ReaderGone`] when nobody reads any more.
    pub(crate) fn entry(self, key: &str, value: Option<&Value>) -> Result<()> {
        if self.json {
            let line = match value {
                Some(value) => json!({ "key": key, "value": value }),
                None => json!({ "key": key, "removed": true }),
            };
            return line_out(&line.to_string());
        }
        match value {
            Some(value) => line_out(&format!("{key}\t{value}")),
            None => line_out(&format!("{key}\t(removed)")),
        }
    }

    /// Prints a result, `json` as it is, or `text`: the last that a command prints, so that its
    /// exit code counts even when nobody reads it.
    pub(crate) fn result(self, text: &str, json: &Value) -> Result<()> {
        let printed = if self.json {
            line_out(&json.to_string())
        } else {
            line_out(text)
        };
        match printed {
            Err(Stop::ReaderGone) => Ok(()),
            other => other,
        }
    }

    /// Prints one line of many.
    ///
    /// # Errors
    /// [`Stop::ReaderGone`] when nobody reads any more.
    pub(crate) fn line(self, line: &str) -> Result<()> {
        line_out(line)
    }

    /// Prints a result that only JSON readers need.
    pub(crate) fn json_only(self, json: &Value) -> Result<()> {
        if self.json {
            self.result("", json)
        } else {
            Ok(())
        }
    }
}

fn line_out(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| write_failed("print", "cannot write to standard output", error))
}

/// What a failed write to standard output or a file means for the command.
pub(crate) fn write_failed(operation: &'static str, message: &str, error: io::Error) -> Stop {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Stop::ReaderGone;
    }
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Io,
    };
    Stop::Failed(Error::new(kind, operation, message).with_source(error))
}

/// Text of others, without what would move a terminal's cursor.
pub(crate) fn plain(text: &str) -> String {
    let shown = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    text.chars().map(shown).collect()
}
