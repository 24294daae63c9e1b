//! CSV: the first line names the columns, every other row is an object of texts.

use std::io::Read;

use csv::{ErrorKind, Reader, StringRecord};
use hybrid_grid::{Error, Result};
use serde_json::Value;

use super::file::{Values, malformed};
use super::quotes::ClosedQuotes;
use super::record::no_field;

/// The rows of the table that `reader` holds; one of its columns must be `key_field`.
pub(super) fn table(reader: impl Read + 'static, key_field: &str) -> Result<Values> {
    let mut csv = Reader::from_reader(ClosedQuotes::new(reader));
    let columns = csv.headers().map_err(|error| fault(&error))?.clone();
    check_columns(&columns, key_field)?;
    Ok(Box::new(csv.into_records().map(move |row| {
        let row = row.map_err(|error| fault(&error))?;
        let line = row.position().map_or(0, csv::Position::line);
        let fields = columns.iter().zip(row.iter());
        let object = fields
            .map(|(name, text)| (name.to_owned(), Value::from(text)))
            .collect();
        Ok((line, Value::Object(object)))
    })))
}

fn check_columns(columns: &StringRecord, key_field: &str) -> Result<()> {
    if columns.is_empty() {
        return Err(malformed(
            1,
            "the first line must name the columns, but the file is empty",
        ));
    }
    if !columns.iter().any(|name| name == key_field) {
        return Err(no_field(key_field, columns.iter()).with("line", 1));
    }
    let mut names: Vec<&str> = columns.iter().collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let message = format!("two columns are called `{}`; rename one", pair[0]);
            Err(malformed(1, message))
        }
        None => Ok(()),
    }
}

fn fault(error: &csv::Error) -> Error {
    let line = error.position().map(csv::Position::line);
    let message = match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("the row has {len} fields, and the first line names {expected_len}"),
        ErrorKind::Utf8 { .. } => "the row is not UTF-8; convert the file".to_owned(),
        ErrorKind::Io(error) => format!("the file cannot be read: {error}"),
        _ => error.to_string(),
    };
    match line {
        Some(line) => malformed(line, message),
        None => super::file::failed(hybrid_grid::ErrorKind::Invalid, message),
    }
}
