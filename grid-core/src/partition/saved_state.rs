//! The state record: what a partition remembers beside its records, as a system of record keeps
//! it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::effects_codec::{check_version, read_exceptions, write_exception};
use super::horizon::Horizon;
use super::machine::{Partition, PartitionConfig};
use super::runs::Run;
use crate::codec::{Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::op::RunId;
use crate::traits::{Position, StateRecord};

/// The version of the format of a state record's data.
const STATE_VERSION: u8 = 1;
/// The fields of a state record's data.
const FIELDS: usize = 6;
/// Fewest bytes of a run.
const LEAST_RUN_BYTES: usize = 7;

impl Partition {
    /// The state record as of now; `position` is that of the last journal batch that was applied.
    #[must_use]
    pub fn save(&self, position: Position) -> StateRecord {
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&[STATE_VERSION]);
        let mut writer = Writer::new(&mut buffer);
        // Only partitions that have known epoch records have the last field.
        writer.tuple(FIELDS + usize::from(self.epochs > 0));
        writer.u64(position.0);
        writer.hlc(self.clock);
        writer.sequence(self.horizon.collected_through);
        writer.hlc(self.horizon.highest_collected);
        writer.list(self.horizon.marks.len());
        for (at_ms, sequence) in &self.horizon.marks {
            writer.tuple(2);
            writer.u64(*at_ms);
            writer.sequence(*sequence);
        }
        writer.list(self.runs.iter().len());
        for (id, run) in self.runs.iter() {
            write_run(&mut writer, *id, run);
        }
        if self.epochs > 0 {
            writer.u64(self.epochs);
        }
        StateRecord {
            history: self.history(),
            sequence: self.sequence,
            data: buffer.freeze(),
        }
    }

    /// The partition without its records, and the position of the journal batch after which its
    /// tail is to be applied.
    ///
    /// # Errors
    /// `Corrupt` when the record cannot be read, `Diverged` when it is of another history,
    /// `Version` when a later version of the code wrote it.
    pub fn restore(config: PartitionConfig, state: &StateRecord) -> Result<(Self, Position)> {
        if state.history != config.history {
            return Err(Error::new(
                ErrorKind::Diverged,
                "restore partition",
                "its state record belongs to another history than the data set: a new history was \
                 ordered and not completed, so order it again",
            )
            .with("partition", config.id)
            .with("history", state.history)
            .with("data set's history", config.history));
        }
        let mut partition = Self::new(config);
        partition.sequence = state.sequence;
        let position = partition.read_state(&state.data)?;
        Ok((partition, position))
    }

    fn read_state(&mut self, data: &Bytes) -> Result<Position> {
        let mut reader = Reader::of_row(data);
        check_version(&mut reader, STATE_VERSION, "decode state record")?;
        let mut tuple = reader.tuple(FIELDS)?;
        let position = Position(reader.u64()?);
        self.clock = reader.hlc()?;
        self.horizon = Horizon {
            collected_through: reader.sequence()?,
            highest_collected: reader.hlc()?,
            marks: VecDeque::from(reader.items(3, |reader| {
                let tuple = reader.tuple(2)?;
                let mark = (reader.u64()?, reader.sequence()?);
                reader.end(tuple)?;
                Ok(mark)
            })?),
        };
        self.latest_ms = self.horizon.marks.back().map_or(0, |(at_ms, _)| *at_ms);
        for (id, run) in reader.items(LEAST_RUN_BYTES, read_run)? {
            self.runs.restore(id, run);
        }
        if tuple.left() > 0 {
            reader.more(&mut tuple, 1)?;
            self.epochs = reader.u64()?;
        }
        reader.end(tuple)?;
        reader.finish()?;
        Ok(position)
    }
}

fn write_run(writer: &mut Writer<'_>, id: RunId, run: &Run) {
    writer.tuple(6);
    writer.run(id);
    writer.text(&run.principal);
    writer.u64(run.watermark);
    writer.hlc(run.last_hlc);
    writer.option(run.released_at_ms, Writer::u64);
    writer.list(run.exceptions.len());
    for (number, verdict) in &run.exceptions {
        write_exception(writer, *number, verdict);
    }
}

fn read_run(reader: &mut Reader<'_>) -> Result<(RunId, Run)> {
    let tuple = reader.tuple(6)?;
    let id = reader.run()?;
    let run = Run {
        principal: reader.text().map(Arc::from)?,
        watermark: reader.u64()?,
        last_hlc: reader.hlc()?,
        released_at_ms: reader.option(Reader::u64)?,
        exceptions: read_exceptions(reader)?.into_iter().collect(),
    };
    reader.end(tuple)?;
    Ok((id, run))
}
