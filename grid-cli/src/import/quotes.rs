//! CSV text whose quotes are closed: a reader of CSV takes an open one as a field that goes on to
//! the end of the file, and so would swallow what follows without a word.

use std::io::{self, Read};

/// Where the text stands, by the rules that the reader of CSV goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote within quotes: it ends them, unless another follows.
    QuoteInQuotes,
}

/// Passes text on, and fails at its end if a quote is open.
pub(super) struct ClosedQuotes<R> {
    reader: R,
    place: Place,
    line: u64,
    /// The line on which the last quote was opened.
    opened: u64,
}

impl<R> ClosedQuotes<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            place: Place::FieldStart,
            line: 1,
            opened: 0,
        }
    }

    fn pass(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::FieldStart, b'"') => {
                self.opened = self.line;
                Place::Quoted
            }
            (Place::QuoteInQuotes, b'"') => Place::Quoted,
            (Place::Quoted, b'"') => Place::QuoteInQuotes,
            (Place::Quoted, _) => Place::Quoted,
            (_, b',' | b'\n' | b'\r') => Place::FieldStart,
            _ => Place::Plain,
        };
        self.line += u64::from(byte == b'\n');
    }
}

impl<R: Read> Read for ClosedQuotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        for byte in &buffer[..length] {
            self.pass(*byte);
        }
        if length == 0 && !buffer.is_empty() && self.place == Place::Quoted {
            let message = format!(
                "the quote that opens on line {} is never closed",
                self.opened
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(length)
    }
}
