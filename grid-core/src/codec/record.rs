//! Records, alone as rows and one after the other in frames and journal entries.

use bytes::{Bytes, BytesMut};

use super::reader::Reader;
use super::writer::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::hlc::Hlc;
use crate::op::{OpId, RunId, Stamp};
use crate::record::{Record, Sequence};

/// The version of the format of a record's row.
const ROW_VERSION: u8 = 1;
/// The fields of a record.
const FIELDS: usize = 7;
/// Fewest bytes of a record: its array's head, a key of one letter, and six fields.
pub(super) const LEAST_RECORD_BYTES: usize = 9;

/// What the record before said, against which the next one is written: stamps and sequences as
/// distances, and a run that stays the same as `null`.
///
/// Both sides start from [`RecordContext::default`], or from the same sequence.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordContext {
    stamp: Stamp,
    sequence: Sequence,
}

impl RecordContext {
    /// The context of the first record after `sequence`.
    #[must_use]
    pub fn after(sequence: Sequence) -> Self {
        Self {
            stamp: Stamp::ZERO,
            sequence,
        }
    }

    fn follow(&mut self, record: &Record) {
        self.stamp = record.stamp;
        self.sequence = record.sequence;
    }
}

impl Writer<'_> {
    /// Writes a record as `[key, value, hlc, run, number, sequence, expires]`, the middle four
    /// relative to `context`.
    pub fn record(&mut self, context: &mut RecordContext, record: &Record) {
        let before = context.stamp;
        self.tuple(FIELDS);
        self.key(&record.key);
        self.option(record.value.as_ref(), |writer, value| writer.bytes(value));
        self.distance(before.hlc.as_u64(), record.stamp.hlc.as_u64());
        let run = record.stamp.op.run;
        self.option((run != before.op.run).then_some(run), Self::run);
        self.distance(before.op.number, record.stamp.op.number);
        self.distance(context.sequence.0, record.sequence.0);
        self.option(record.expires_at_ms, Self::u64);
        context.follow(record);
    }
}

impl Reader<'_> {
    /// Reads a record that [`Writer::record`] wrote; key and value share the memory.
    ///
    /// # Errors
    /// When there is none.
    pub fn record(&mut self, context: &mut RecordContext) -> Result<Record> {
        let before = context.stamp;
        let tuple = self.tuple(FIELDS)?;
        let key = self.key()?;
        let value = self.option(Self::bytes)?;
        let hlc = Hlc::from_u64(self.distance(before.hlc.as_u64())?);
        let run: Option<RunId> = self.option(Self::run)?;
        let number = self.distance(before.op.number)?;
        let sequence = Sequence(self.distance(context.sequence.0)?);
        let expires_at_ms = self.option(Self::u64)?;
        self.end(tuple)?;
        let run = run.unwrap_or(before.op.run);
        let record = Record {
            key,
            value,
            stamp: Stamp {
                hlc,
                op: OpId { run, number },
            },
            sequence,
            expires_at_ms,
        };
        context.follow(&record);
        Ok(record)
    }
}

/// Appends the row of `record` (a version byte, then the record) to `buffer`.
pub fn encode_record(record: &Record, buffer: &mut BytesMut) {
    buffer.extend_from_slice(&[ROW_VERSION]);
    Writer::new(buffer).record(&mut RecordContext::default(), record);
}

/// The record in `row`; its key and value share the row's memory.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use grid_core::codec::{decode_record, encode_record};
/// use grid_core::{Key, Record, Sequence, Stamp};
///
/// let record = Record {
///     key: Key::new("t1")?,
///     value: Some(Bytes::from_static(b"\xf5")),
///     stamp: Stamp::ZERO,
///     sequence: Sequence(7),
///     expires_at_ms: None,
/// };
/// let mut row = BytesMut::new();
/// encode_record(&record, &mut row);
/// assert_eq!(decode_record(&row.freeze())?, record);
/// # Ok::<(), grid_core::Error>(())
/// ```
///
/// # Errors
/// `Corrupt` when the row is no record, `Version` when a later version of the code wrote it.
pub fn decode_record(row: &Bytes) -> Result<Record> {
    let mut reader = Reader::of_row(row);
    check_row_version(&mut reader, ROW_VERSION)?;
    let record = reader.record(&mut RecordContext::default())?;
    reader.finish()?;
    Ok(record)
}

/// Takes the version byte of a row and compares it.
pub(super) fn check_row_version(reader: &mut Reader<'_>, known: u8) -> Result<()> {
    let version = reader.raw_byte()?;
    if version == known {
        return Ok(());
    }
    let message = format!(
        "the row has format {version}; this program reads format {known}: use the version of the \
         program that wrote it, or a later one"
    );
    Err(Error::new(ErrorKind::Version, "decode row", message))
}
