//! A JSON array of objects, read one by one.

use std::io::{self, BufRead, Cursor, Read};

use hybrid_grid::{Error, Result};
use serde_json::{Deserializer, Value};

use super::file::{Placed, Values, json_fault, malformed};
use super::lines::MAX_LINE_BYTES;

const NO_ARRAY: &str =
    "the file must be one JSON array of objects; one object a line is called .jsonl";

/// The values of the array that `reader` holds.
pub(super) fn array(reader: impl BufRead + 'static) -> Result<Values> {
    let mut array = Array {
        reader: Lined { reader, line: 1 },
        first: true,
    };
    match array.token()? {
        Some(b'[') => Ok(Box::new(std::iter::from_fn(move || {
            array.next().transpose()
        }))),
        _ => Err(array.fault(NO_ARRAY)),
    }
}

struct Array<R> {
    reader: Lined<R>,
    first: bool,
}

impl<R: BufRead> Array<R> {
    fn next(&mut self) -> Result<Option<Placed>> {
        let mut token = self.token()?;
        match token {
            Some(b']') => return self.end(),
            Some(b',') if !self.first => token = self.token()?,
            Some(_) if self.first => {}
            Some(_) => return Err(self.fault("a comma or the end of the array is missing here")),
            None => return Err(self.fault("the file ends before the array does")),
        }
        self.first = false;
        if token != Some(b'{') {
            return Err(self.fault("every item of the array must be an object"));
        }
        let line = self.reader.line;
        // An object ends with its brace: nothing behind it is read.
        let text = Cursor::new(b"{").chain(self.reader.by_ref().take(MAX_LINE_BYTES));
        let mut values = Deserializer::from_reader(text).into_iter::<Value>();
        match values.next().transpose() {
            Ok(value) => Ok(value.map(|value| (line, value))),
            Err(error) => {
                let message = format!("the object is no JSON: {}", json_fault(&error));
                Err(self.fault(message))
            }
        }
    }

    /// Nothing but space may come after the array.
    fn end(&mut self) -> Result<Option<Placed>> {
        match self.token()? {
            None => Ok(None),
            Some(_) => Err(self.fault("something follows the array")),
        }
    }

    /// The next byte that is no space; `None` at the end of the file.
    fn token(&mut self) -> Result<Option<u8>> {
        loop {
            let mut byte = [0];
            let read = self.reader.read(&mut byte);
            let length =
                read.map_err(|error| self.fault("the file cannot be read").with_source(error))?;
            match byte[0] {
                _ if length == 0 => return Ok(None),
                b' ' | b'\t' | b'\r' | b'\n' => {}
                token => return Ok(Some(token)),
            }
        }
    }

    fn fault(&self, message: impl Into<String>) -> Error {
        malformed(self.reader.line, message)
    }
}

/// Counts lines as they are read.
struct Lined<R> {
    reader: R,
    line: u64,
}

impl<R: Read> Read for Lined<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        for byte in &buffer[..length] {
            self.line += u64::from(*byte == b'\n');
        }
        Ok(length)
    }
}
