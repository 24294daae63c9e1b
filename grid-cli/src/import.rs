//! Reads the records of a file, one after the other: JSON array, JSON Lines or CSV.

#![expect(
    clippy::disallowed_types,
    reason = "the program reads the file that its user names"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hybrid_grid::{Error, ErrorKind, Result};
use serde_json::Value;

/// A record to put.
#[derive(Debug, PartialEq)]
pub(crate) struct Item {
    /// Its key.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: Value,
}

/// The records of a file, and how far the file has been read.
pub(crate) struct Import {
    /// The records, in the order of the file.
    pub(crate) items: Box<dyn Iterator<Item = Result<Item>>>,
    /// The size of the file, in bytes.
    pub(crate) total_bytes: u64,
    /// How much of it has been read, in bytes.
    pub(crate) read_bytes: Arc<AtomicU64>,
}

const OPERATION: &str = "import";

/// Opens `path`; its extension tells the format, `key_field` where the keys are.
pub(crate) fn open(path: &Path, key_field: Option<&str>) -> Result<Import> {
    let extension = path
        .extension()
        .and_then(|text| text.to_str())
        .unwrap_or_default();
    let format = extension.to_ascii_lowercase();
    let file = File::open(path).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound {
            ErrorKind::NotFound
        } else {
            ErrorKind::Io
        };
        Error::new(kind, OPERATION, "cannot read the file")
            .with("file", path.display())
            .with_source(error)
    })?;
    let total_bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let read_bytes = Arc::new(AtomicU64::new(0));
    let reader = BufReader::new(Counting {
        file,
        count: Arc::clone(&read_bytes),
    });
    let values: Box<dyn Iterator<Item = Result<(u64, Value)>>> = match format.as_str() {
        "jsonl" | "ndjson" => Box::new(json_lines(reader)),
        "json" => Box::new(json_array(reader)?),
        "csv" => Box::new(csv_rows(reader)?),
        _ => {
            return Err(Error::new(
                ErrorKind::Invalid,
                OPERATION,
                "cannot tell the format: the file name must end in .json, .jsonl, .ndjson or .csv",
            )
            .with("file", path.display()));
        }
    };
    let key_field = key_field.map(str::to_owned);
    let items = values.map(move |value| {
        let (place, value) = value?;
        item(value, key_field.as_deref()).map_err(|error| error.with("record", place))
    });
    Ok(Import {
        items: Box::new(items),
        total_bytes,
        read_bytes,
    })
}

struct Counting {
    file: File,
    count: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.count
            .fetch_add(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
        Ok(length)
    }
}

fn json_lines(reader: impl BufRead + 'static) -> impl Iterator<Item = Result<(u64, Value)>> {
    reader
        .lines()
        .zip(1..)
        .filter_map(|(line, number)| match line {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(
                serde_json::from_str(&line)
                    .map(|value| (number, value))
                    .map_err(|error| malformed("not a JSON value", number, error)),
            ),
            Err(error) => Some(Err(malformed("cannot read the line", number, error))),
        })
}

fn json_array(reader: impl Read) -> Result<impl Iterator<Item = Result<(u64, Value)>>> {
    let values: Vec<Value> = serde_json::from_reader(reader).map_err(|error| {
        Error::new(
            ErrorKind::Invalid,
            OPERATION,
            "the file must be one JSON array",
        )
        .with_source(error)
    })?;
    Ok((1..).zip(values).map(Ok))
}

fn csv_rows(reader: impl Read + 'static) -> Result<impl Iterator<Item = Result<(u64, Value)>>> {
    let mut csv = csv::Reader::from_reader(reader);
    let headers = csv
        .headers()
        .map_err(|error| malformed("the first line must name the columns", 1, error))?
        .clone();
    Ok(csv.into_records().zip(1..).map(move |(row, number)| {
        let row = row.map_err(|error| malformed("not a CSV row", number, error))?;
        let fields = headers.iter().zip(row.iter());
        let object = fields
            .map(|(name, text)| (name.to_owned(), Value::from(text)))
            .collect();
        Ok((number, Value::Object(object)))
    }))
}

fn malformed(
    message: &str,
    record: u64,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, message)
        .with("record", record)
        .with_source(source)
}

/// Finds the key of a record. Without a named field, a line as `export` writes it is taken
/// apart, and anything else is looked up by `id`.
fn item(value: Value, key_field: Option<&str>) -> Result<Item> {
    if key_field.is_none()
        && let Some(exported) = exported(&value)
    {
        return Ok(exported);
    }
    let field = key_field.unwrap_or("id");
    let key = match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => {
            return Err(Error::new(
                ErrorKind::Invalid,
                OPERATION,
                format!("the key field `{field}` must be a text or a number"),
            ));
        }
        None => {
            return Err(Error::new(
                ErrorKind::Invalid,
                OPERATION,
                format!("there is no field `{field}`; name the one that holds the key with --key"),
            ));
        }
    };
    Ok(Item { key, value })
}

fn exported(value: &Value) -> Option<Item> {
    let object = value.as_object().filter(|object| object.len() == 2)?;
    let key = object.get("key")?.as_str()?.to_owned();
    Some(Item {
        key,
        value: object.get("value")?.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use super::*;

    fn import(name: &str, content: &str, key: Option<&str>) -> Vec<Result<Item>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        File::create(&path)
            .unwrap()
            .write_all(content.as_bytes())
            .unwrap();
        match open(&path, key) {
            Ok(import) => import.items.collect(),
            Err(error) => vec![Err(error)],
        }
    }

    fn only_error(items: Vec<Result<Item>>) -> String {
        items
            .into_iter()
            .find_map(Result::err)
            .expect("an error")
            .to_string()
    }

    #[test]
    fn all_formats_give_the_same_records_and_keep_the_key_in_the_value() {
        let expected = [
            Item {
                key: "DE".into(),
                value: json!({"code": "DE", "name": "Germany, \"old\""}),
            },
            Item {
                key: "CI".into(),
                value: json!({"code": "CI", "name": "Côte d'Ivoire"}),
            },
        ];
        let array = json!([expected[0].value, expected[1].value]).to_string();
        let lines = format!("{}\n\n{}\n", expected[0].value, expected[1].value);
        let csv = "code,name\nDE,\"Germany, \"\"old\"\"\"\nCI,Côte d'Ivoire\n";
        for (name, content) in [
            ("a.json", array.as_str()),
            ("a.jsonl", &lines),
            ("a.NDJSON", &lines),
            ("a.csv", csv),
        ] {
            let items: Vec<Item> = import(name, content, Some("code"))
                .into_iter()
                .map(Result::unwrap)
                .collect();
            assert_eq!(items, expected, "{name}");
        }
    }

    #[test]
    fn an_export_comes_back_and_an_id_is_the_key_if_none_is_named() {
        let items = import(
            "a.jsonl",
            "{\"key\":\"k\",\"value\":[1]}\n{\"id\":7}\n",
            None,
        );
        let items: Vec<Item> = items.into_iter().map(Result::unwrap).collect();
        assert_eq!(
            items[0],
            Item {
                key: "k".into(),
                value: json!([1])
            }
        );
        assert_eq!(
            items[1],
            Item {
                key: "7".into(),
                value: json!({"id": 7})
            }
        );
    }

    #[test]
    fn errors_name_the_record_and_what_to_do() {
        assert!(only_error(import("a.txt", "", None)).contains(".jsonl"));
        assert!(only_error(import("a.json", "{}", None)).contains("JSON array"));
        let missing = only_error(import("a.jsonl", "{\"id\":1}\n{}\n", None));
        assert!(
            missing.contains("record: 2") && missing.contains("--key"),
            "{missing}"
        );
        let broken = only_error(import("a.jsonl", "{\"id\":1}\n{\"id\n", None));
        assert!(broken.contains("record: 2"), "{broken}");
        let ragged = only_error(import("a.csv", "id,b\n1,2\n1\n", None));
        assert!(ragged.contains("record: 2"), "{ragged}");
        let nested = only_error(import("a.jsonl", "{\"id\":{}}\n", None));
        assert!(nested.contains("text or a number"), "{nested}");
        let absent = open(Path::new("/nonexistent/a.csv"), None)
            .err()
            .expect("an error");
        assert_eq!(absent.kind(), ErrorKind::NotFound);
    }
}
