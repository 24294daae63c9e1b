//! A record: where its key is found.

use hybrid_grid::{Error, ErrorKind, Key, Result};
use serde_json::{Map, Value};

use super::file::failed;

/// How many fields an error lists.
const LISTED_FIELDS: usize = 10;

/// A record to put.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    /// The line on which it starts.
    pub(crate) line: u64,
    /// Its key.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: Value,
}

impl Record {
    /// Finds the key. Without a named field, a line as `export` writes it is taken apart, and
    /// anything else is looked up by `default_field`.
    pub(super) fn new(
        line: u64,
        value: Value,
        key_field: Option<&str>,
        default_field: &str,
    ) -> Result<Self> {
        let (key, value) = match exported(&value) {
            Some(exported) if key_field.is_none() => exported,
            _ => (key_in(&value, key_field.unwrap_or(default_field))?, value),
        };
        Key::new(&key)?;
        Ok(Self { line, key, value })
    }
}

fn key_in(value: &Value, field: &str) -> Result<String> {
    let Value::Object(object) = value else {
        let message = format!("a record must be an object with the field `{field}`");
        return Err(failed(ErrorKind::Invalid, message));
    };
    match object.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        Some(_) => {
            let message =
                format!("the key field `{field}` must be a text or a whole number of 64 bits");
            Err(failed(ErrorKind::Invalid, message))
        }
        None => Err(no_field(field, object.keys().map(String::as_str))),
    }
}

/// That no field has this name, and which there are.
pub(super) fn no_field<'a>(field: &str, there: impl Iterator<Item = &'a str>) -> Error {
    let mut names: Vec<&str> = there.take(LISTED_FIELDS + 1).collect();
    if names.len() > LISTED_FIELDS {
        names[LISTED_FIELDS] = "…";
    }
    let message = format!(
        "there is no field `{field}`; name the one that holds the key with --key: {}",
        names.join(", ")
    );
    failed(ErrorKind::Invalid, message)
}

fn exported(value: &Value) -> Option<(String, Value)> {
    let object: &Map<String, Value> = value.as_object().filter(|object| object.len() == 2)?;
    let key = object.get("key")?.as_str()?.to_owned();
    Some((key, object.get("value")?.clone()))
}
