//! Effects as the bytes of a journal batch.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::effects::{EffectRecord, Effects};
use super::runs::RunUpdate;
use crate::codec::{Reader, RecordContext, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Verdict;

/// The version of the format of a journal batch.
const BATCH_VERSION: u8 = 1;
/// The fields of a batch.
const FIELDS: usize = 11;
/// Fewest bytes of one record with its map.
const LEAST_RECORD_BYTES: usize = 10;
/// What a record takes beside its key and value, mostly.
const RECORD_OVERHEAD_BYTES: usize = 24;
/// What a batch takes beside its records, mostly.
const BATCH_OVERHEAD_BYTES: usize = 256;
/// Fewest bytes of what a batch adds to a run.
const LEAST_RUN_BYTES: usize = 6;
/// Fewest bytes of an exception: its array's head, its number, its verdict.
const LEAST_EXCEPTION_BYTES: usize = 4;

impl Effects {
    /// The journal batch: a version byte, then one positional CBOR array.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut buffer = BytesMut::with_capacity(self.encoded_bytes());
        buffer.extend_from_slice(&[BATCH_VERSION]);
        let mut writer = Writer::new(&mut buffer);
        // Only epoch records have the last field.
        writer.tuple(FIELDS + usize::from(self.begins_epoch));
        writer.u64(self.at_ms);
        writer.sequence(self.base);
        writer.hlc(self.clock);
        writer.bool(self.mark);
        writer.items(&self.maps, |writer, map| writer.address(map));
        let mut context = RecordContext::after(self.base);
        writer.items(&self.records, |writer, each| {
            writer.tuple(2);
            writer.u64(each.map.into());
            writer.record(&mut context, &each.record);
        });
        writer.items(&self.runs, write_run);
        writer.items(&self.stored, |writer, (run, through)| {
            writer.tuple(2);
            writer.run(*run);
            writer.u64(*through);
        });
        writer.items(&self.released, |writer, run| writer.run(*run));
        writer.items(&self.forgotten, |writer, run| writer.run(*run));
        writer.option(self.collect, |writer, (through, highest)| {
            writer.tuple(2);
            writer.sequence(through);
            writer.hlc(highest);
        });
        if self.begins_epoch {
            writer.bool(true);
        }
        buffer.freeze()
    }

    /// About how many bytes the journal batch has; one that is longer costs a reallocation.
    fn encoded_bytes(&self) -> usize {
        let record = |each: &EffectRecord| RECORD_OVERHEAD_BYTES + each.record.size();
        BATCH_OVERHEAD_BYTES + self.records.iter().map(record).sum::<usize>()
    }

    /// The effects in a journal batch; keys and values share its memory.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are no effects, `Version` when a later version of the code wrote
    /// them. Never panics, whatever the bytes.
    pub fn decode(batch: &Bytes) -> Result<Self> {
        let mut reader = Reader::of_row(batch);
        check_version(&mut reader, BATCH_VERSION, "decode journal batch")?;
        let mut tuple = reader.tuple(FIELDS)?;
        let mut effects = Self {
            at_ms: reader.u64()?,
            base: reader.sequence()?,
            clock: reader.hlc()?,
            mark: reader.bool()?,
            maps: reader.items(3, Reader::address)?,
            ..Self::default()
        };
        effects.read_records(&mut reader)?;
        effects.runs = reader.items(LEAST_RUN_BYTES, read_run)?;
        effects.stored = reader.items(3, |reader| {
            let tuple = reader.tuple(2)?;
            let stored = (reader.run()?, reader.u64()?);
            reader.end(tuple)?;
            Ok(stored)
        })?;
        effects.released = reader.items(1, Reader::run)?;
        effects.forgotten = reader.items(1, Reader::run)?;
        effects.collect = reader.option(|reader| {
            let tuple = reader.tuple(2)?;
            let collect = (reader.sequence()?, reader.hlc()?);
            reader.end(tuple)?;
            Ok(collect)
        })?;
        if tuple.left() > 0 {
            reader.more(&mut tuple, 1)?;
            effects.begins_epoch = reader.bool()?;
        }
        let holds_more = !effects.records.is_empty() || effects.base.0 == u64::MAX;
        if effects.begins_epoch && holds_more {
            return Err(reader.error("an epoch record holds records, or has no sequence left"));
        }
        reader.end(tuple)?;
        reader.finish()?;
        Ok(effects)
    }

    fn read_records(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let mut context = RecordContext::after(self.base);
        let mut sequence = self.base.0;
        let maps = self.maps.len();
        self.records = reader.items(LEAST_RECORD_BYTES, |reader| {
            let tuple = reader.tuple(2)?;
            let map = reader.u32()?;
            let record = reader.record(&mut context)?;
            reader.end(tuple)?;
            if map as usize >= maps {
                return Err(reader.error("a record names a map that the table does not hold"));
            }
            sequence = sequence
                .checked_add(1)
                .filter(|next| *next == record.sequence.0)
                .ok_or_else(|| reader.error("sequences are not free of gaps"))?;
            Ok(EffectRecord { map, record })
        })?;
        Ok(())
    }
}

/// Takes the version byte of a stored format and compares it.
pub(super) fn check_version(
    reader: &mut Reader<'_>,
    known: u8,
    operation: &'static str,
) -> Result<()> {
    let version = reader.raw_byte()?;
    if version == known {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Version,
        operation,
        format!(
            "the bytes have format {version}; this program reads format {known}: use the version \
             of the program that wrote them, or a later one"
        ),
    ))
}

fn write_run(writer: &mut Writer<'_>, update: &RunUpdate) {
    writer.tuple(5);
    writer.run(update.run);
    writer.text(&update.principal);
    writer.u64(update.watermark);
    writer.hlc(update.last_hlc);
    writer.items(&update.exceptions, |writer, (number, verdict)| {
        write_exception(writer, *number, verdict);
    });
}

fn read_run(reader: &mut Reader<'_>) -> Result<RunUpdate> {
    let tuple = reader.tuple(5)?;
    let update = RunUpdate {
        run: reader.run()?,
        principal: reader.text().map(Arc::from)?,
        watermark: reader.u64()?,
        last_hlc: reader.hlc()?,
        exceptions: read_exceptions(reader)?,
    };
    reader.end(tuple)?;
    Ok(update)
}

/// Writes an exception as `[number, verdict]`.
pub(super) fn write_exception(writer: &mut Writer<'_>, number: u64, verdict: &Verdict) {
    writer.tuple(2);
    writer.u64(number);
    writer.verdict(verdict);
}

/// Reads a list of what [`write_exception`] wrote.
pub(super) fn read_exceptions(reader: &mut Reader<'_>) -> Result<Vec<(u64, Verdict)>> {
    reader.items(LEAST_EXCEPTION_BYTES, |reader| {
        let tuple = reader.tuple(2)?;
        let exception = (reader.u64()?, reader.verdict()?);
        reader.end(tuple)?;
        Ok(exception)
    })
}
