//! The file: its format, how far it has been read, and the errors that name it.

#![expect(
    clippy::disallowed_types,
    reason = "the program reads the file that its user names"
)]

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hybrid_grid::{Error, ErrorKind};
use serde_json::Value;

use super::array::array;
use super::lines::lines;
use super::record::Record;
use super::table::table;
use crate::exit::{Result, Stop};

/// What editors on Windows put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The field that holds the key if none is named.
const DEFAULT_KEY_FIELD: &str = "id";

/// A value, and the line on which it starts.
pub(super) type Placed = (u64, Value);

/// Values in the order of the file; what follows an error means nothing.
pub(super) type Values = Box<dyn Iterator<Item = hybrid_grid::Result<Placed>>>;

/// The records of a file, and how far the file has been read.
pub(crate) struct Import {
    /// The records, in the order of the file, up to the first fault.
    pub(crate) records: Box<dyn Iterator<Item = hybrid_grid::Result<Record>>>,
    /// How the file is called.
    pub(crate) name: String,
    /// The size of the file, in bytes.
    pub(crate) total_bytes: u64,
    /// How much of it has been read, in bytes.
    pub(crate) read_bytes: Arc<AtomicU64>,
}

/// Opens `path`; its extension tells the format, `key_field` where the keys are.
///
/// # Errors
/// [`Stop::Usage`] when the extension tells no format; otherwise what is wrong with the file, or
/// with its head.
pub(crate) fn open(path: &Path, key_field: Option<&str>) -> Result<Import> {
    let extension = path.extension().and_then(|text| text.to_str());
    let format = extension.unwrap_or_default().to_ascii_lowercase();
    if !["json", "jsonl", "ndjson", "csv"].contains(&format.as_str()) {
        let message = "the format is not known; name a file .json, .jsonl, .ndjson or .csv";
        let error = failed(ErrorKind::Invalid, message);
        return Err(Stop::Usage(error.with("file", path.display())));
    }
    let name = path.display().to_string();
    let cannot = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        failed(kind, "the file cannot be read").with_source(error)
    };
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|error| cannot(error).with("file", &name))?;
    if metadata.is_dir() {
        let error = failed(ErrorKind::Invalid, "a folder is no file; name a file in it");
        return Err(error.with("file", &name).into());
    }
    let read_bytes = Arc::new(AtomicU64::new(0));
    let reader = BufReader::new(Counting {
        file,
        count: Arc::clone(&read_bytes),
    });
    let values: hybrid_grid::Result<Values> =
        unmarked(reader)
            .map_err(cannot)
            .and_then(|text| match format.as_str() {
                "csv" => table(text, key_field.unwrap_or(DEFAULT_KEY_FIELD)),
                "json" => array(BufReader::new(text)),
                _ => Ok(lines(BufReader::new(text))),
            });
    let values = values.map_err(|error| error.with("file", &name))?;
    let key_field = key_field.map(str::to_owned);
    let file = name.clone();
    let mut records = values.map(move |value| {
        let (line, value) = value.map_err(|error| error.with("file", &file))?;
        Record::new(line, value, key_field.as_deref(), DEFAULT_KEY_FIELD)
            .map_err(|error| error.with("line", line).with("file", &file))
    });
    let mut over = false;
    let until_fault = std::iter::from_fn(move || {
        let record = if over { None } else { records.next() };
        over = !matches!(record, Some(Ok(_)));
        record
    });
    Ok(Import {
        records: Box::new(until_fault),
        name,
        total_bytes: metadata.len(),
        read_bytes,
    })
}

/// An error of an import.
pub(super) fn failed(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, "import", message)
}

/// What is wrong with a line.
pub(super) fn malformed(line: u64, message: impl Into<String>) -> Error {
    failed(ErrorKind::Invalid, message).with("line", line)
}

/// What serde_json says, without the position that it counts from where it began.
pub(super) fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((fault, _)) => fault.to_owned(),
        None => text,
    }
}

/// The text without a byte order mark before it.
fn unmarked(mut reader: impl Read + 'static) -> io::Result<impl Read + 'static> {
    let mut head = Vec::new();
    reader
        .by_ref()
        .take(BYTE_ORDER_MARK.len() as u64)
        .read_to_end(&mut head)?;
    if head == BYTE_ORDER_MARK {
        head.clear();
    }
    Ok(Cursor::new(head).chain(reader))
}

struct Counting {
    file: File,
    count: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.count
            .fetch_add(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
        Ok(length)
    }
}
