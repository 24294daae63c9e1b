//! What the program prints: text for people, or one JSON object a line.

use std::io::{self, Write};

use hybrid_grid::{Error, ErrorKind, Result};
use serde_json::{Value, json};

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl Output {
    /// Prints one entry, as `ls` and `watch` show it; no value means that it was removed.
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

    /// Prints a result: `json` as it is, or `text`.
    pub(crate) fn result(self, text: &str, json: &Value) -> Result<()> {
        if self.json {
            line_out(&json.to_string())
        } else {
            line_out(text)
        }
    }

    /// Prints a result that only JSON readers need.
    pub(crate) fn json_only(self, json: &Value) -> Result<()> {
        if self.json {
            line_out(&json.to_string())
        } else {
            Ok(())
        }
    }
}

fn line_out(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| {
            Error::new(ErrorKind::Io, "print", "cannot write to standard output").with_source(error)
        })
}
