//! JSON Lines: one value a line.

use std::io::{BufRead, Read};

use hybrid_grid::Result;

use super::file::{Placed, Values, json_fault, malformed};

/// The longest line, in bytes: no value has that much.
pub(super) const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

/// The values of `reader`. Empty lines are left out.
pub(super) fn lines(reader: impl BufRead + 'static) -> Values {
    let mut lines = Lines { reader, number: 0 };
    Box::new(std::iter::from_fn(move || lines.next().transpose()))
}

struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<Placed>> {
        loop {
            self.number += 1;
            let line = self.number;
            let mut bytes = Vec::new();
            let mut bounded = self.reader.by_ref().take(MAX_LINE_BYTES);
            let read = bounded.read_until(b'\n', &mut bytes);
            read.map_err(|error| malformed(line, "the line cannot be read").with_source(error))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            if bytes.len() as u64 == MAX_LINE_BYTES && !bytes.ends_with(b"\n") {
                let message = format!("the line has more than {MAX_LINE_BYTES} bytes");
                return Err(malformed(line, message));
            }
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| malformed(line, "the line is not UTF-8; convert the file"))?;
            if text.trim().is_empty() {
                continue;
            }
            return match serde_json::from_str(text) {
                Ok(value) => Ok(Some((line, value))),
                Err(error) => {
                    let message = format!("the line is no JSON value: {}", json_fault(&error));
                    Err(malformed(line, message).with("column", error.column()))
                }
            };
        }
    }
}
