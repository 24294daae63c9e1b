//! The rows of a replica's store: what is under which key, and how it is written.

use bytes::{BufMut, Bytes, BytesMut};

use super::fate_counts::FateCounts;
use super::interval_set::IntervalSet;
use crate::address::{MapName, Namespace, PartitionId};
use crate::codec::{Reader, Writer, decode_record, encode_record};
use crate::digest::DigestKey;
use crate::error::{Error, ErrorKind, Result};
use crate::hlc::Hlc;
use crate::op::RunId;
use crate::protocol::{MapDefinition, Selector};
use crate::record::{History, Record, Sequence};
use crate::traits::{Entry, Table, Write};

/// The version of the layout of a store.
const FORMAT: u64 = 1;

pub(super) const FORMAT_KEY: &[u8] = b"format";
const NAMESPACE_KEY: &[u8] = b"namespace";
const CLOCK_KEY: &[u8] = b"clock";
const FATES_KEY: &[u8] = b"fates";
const DATA_SET_KEY: &[u8] = b"data-set";
const MAP_PREFIX: &[u8] = b"map/";
const CURSOR_PREFIX: &[u8] = b"cursor/";
const RUN_PREFIX: &[u8] = b"run/";
const SETTLED_PREFIX: &[u8] = b"settled/";

/// The data set that the confirmed records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataSet {
    pub(super) digest_key: DigestKey,
    pub(super) partition_count: u16,
}

/// What is kept of a map beside its records and cursors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MapRow {
    pub(super) definition: MapDefinition,
    pub(super) history: History,
    pub(super) selector: Selector,
}

/// One row of [`Table::Meta`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MetaRow {
    /// The version of the store's layout; see [`MetaRow::format`].
    Format(u64),
    /// The tenant whose data the store holds.
    Namespace(Namespace),
    /// The highest instant that a stored op has.
    Clock(Hlc),
    /// How many ops were settled, by their fate.
    Fates(FateCounts),
    DataSet(DataSet),
    Map(MapName, MapRow),
    /// Where a map stands in one partition, in which history.
    Cursor(MapName, PartitionId, History, Sequence),
    /// The place of a run in the order of runs.
    Run(RunId, u64),
    /// Numbers of a run that are settled though their packed row still exists.
    Settled(RunId, IntervalSet),
}

impl MetaRow {
    /// The row that says that this code wrote the store.
    pub(super) fn format() -> Self {
        Self::Format(FORMAT)
    }

    fn key(&self) -> Bytes {
        match self {
            Self::Format(_) => Bytes::from_static(FORMAT_KEY),
            Self::Namespace(_) => Bytes::from_static(NAMESPACE_KEY),
            Self::Clock(_) => Bytes::from_static(CLOCK_KEY),
            Self::Fates(_) => Bytes::from_static(FATES_KEY),
            Self::DataSet(_) => Bytes::from_static(DATA_SET_KEY),
            Self::Map(name, _) => [MAP_PREFIX, name.as_str().as_bytes()].concat().into(),
            Self::Cursor(name, partition, ..) => cursor_key(name, *partition),
            Self::Run(run, _) => [RUN_PREFIX, &run.0.to_be_bytes()].concat().into(),
            Self::Settled(run, _) => [SETTLED_PREFIX, &run.0.to_be_bytes()].concat().into(),
        }
    }

    fn value(&self) -> Bytes {
        let mut buffer = BytesMut::new();
        let mut writer = Writer::new(&mut buffer);
        match self {
            Self::Format(version) => one_number(&mut writer, *version),
            Self::Namespace(namespace) => {
                writer.tuple(1);
                writer.text(namespace.as_str());
            }
            Self::Clock(hlc) => one_number(&mut writer, hlc.as_u64()),
            Self::Fates(fates) => {
                writer.tuple(3);
                writer.u64(fates.acked);
                writer.u64(fates.superseded);
                writer.u64(fates.rejected);
            }
            Self::DataSet(data_set) => {
                writer.tuple(2);
                writer.u64(data_set.digest_key.0);
                writer.u64(data_set.partition_count.into());
            }
            Self::Map(_, row) => {
                writer.tuple(4);
                writer.u64(row.definition.spread.into());
                writer.u64(row.definition.schema.into());
                writer.u64(row.history.0);
                match &row.selector {
                    Selector::All => writer.null(),
                    Selector::Prefix(prefix) => writer.text(prefix),
                }
            }
            Self::Cursor(_, _, history, sequence) => {
                writer.tuple(2);
                writer.u64(history.0);
                writer.u64(sequence.0);
            }
            Self::Run(_, ordinal) => one_number(&mut writer, *ordinal),
            Self::Settled(_, numbers) => {
                let intervals = numbers.iter();
                writer.list(intervals.len());
                for (first, last) in intervals {
                    writer.tuple(2);
                    writer.u64(first);
                    writer.u64(last);
                }
            }
        }
        buffer.freeze()
    }

    /// The change that stores the row.
    pub(super) fn put(&self) -> Write {
        Write::Put {
            table: Table::Meta,
            key: self.key(),
            value: self.value(),
        }
    }

    /// The change that removes the row.
    pub(super) fn delete(&self) -> Write {
        Write::Delete {
            table: Table::Meta,
            key: self.key(),
        }
    }

    /// The row in `entry`; `None` when its key is not one of a replica's.
    pub(super) fn decode(entry: &Entry) -> Result<Option<Self>> {
        let key: &[u8] = &entry.key;
        let mut reader = Reader::of_row(&entry.value);
        let row = match key {
            FORMAT_KEY => Self::Format(number(&mut reader)?),
            NAMESPACE_KEY => {
                let tuple = reader.tuple(1)?;
                let namespace = Namespace::new(reader.text()?)?;
                reader.end(tuple)?;
                Self::Namespace(namespace)
            }
            CLOCK_KEY => Self::Clock(Hlc::from_u64(number(&mut reader)?)),
            FATES_KEY => {
                let tuple = reader.tuple(3)?;
                let fates = FateCounts {
                    acked: reader.u64()?,
                    superseded: reader.u64()?,
                    rejected: reader.u64()?,
                };
                reader.end(tuple)?;
                Self::Fates(fates)
            }
            DATA_SET_KEY => {
                let tuple = reader.tuple(2)?;
                let data_set = DataSet {
                    digest_key: DigestKey(reader.u64()?),
                    partition_count: reader.u16()?,
                };
                reader.end(tuple)?;
                if data_set.partition_count == 0 {
                    return Err(reader.error("a data set has a partition at least"));
                }
                Self::DataSet(data_set)
            }
            _ => return Self::decode_named(key, &mut reader),
        };
        check_format(&row)?;
        reader.finish()?;
        Ok(Some(row))
    }

    fn decode_named(key: &[u8], reader: &mut Reader<'_>) -> Result<Option<Self>> {
        let row = if let Some(name) = key.strip_prefix(MAP_PREFIX) {
            Self::Map(map_name(name)?, map_row(reader)?)
        } else if let Some(rest) = key.strip_prefix(CURSOR_PREFIX) {
            let (name, partition) = rest.split_last_chunk().ok_or_else(|| damaged(key))?;
            let name = name.strip_suffix(b"\0").ok_or_else(|| damaged(key))?;
            let tuple = reader.tuple(2)?;
            let history = History(reader.u64()?);
            let sequence = Sequence(reader.u64()?);
            reader.end(tuple)?;
            let partition = PartitionId(u16::from_be_bytes(*partition));
            Self::Cursor(map_name(name)?, partition, history, sequence)
        } else if let Some(run) = key.strip_prefix(RUN_PREFIX) {
            let place = number(reader)?;
            if place == u64::MAX {
                return Err(reader.error("no run can come after this one"));
            }
            Self::Run(run_id(run)?, place)
        } else if let Some(run) = key.strip_prefix(SETTLED_PREFIX) {
            let mut numbers = IntervalSet::default();
            for _ in 0..reader.list(3)? {
                let tuple = reader.tuple(2)?;
                numbers.insert(reader.u64()?, reader.u64()?);
                reader.end(tuple)?;
            }
            Self::Settled(run_id(run)?, numbers)
        } else {
            return Ok(None);
        };
        reader.finish()?;
        Ok(Some(row))
    }
}

fn one_number(writer: &mut Writer<'_>, number: u64) {
    writer.tuple(1);
    writer.u64(number);
}

fn number(reader: &mut Reader<'_>) -> Result<u64> {
    let tuple = reader.tuple(1)?;
    let number = reader.u64()?;
    reader.end(tuple)?;
    Ok(number)
}

fn map_row(reader: &mut Reader<'_>) -> Result<MapRow> {
    let tuple = reader.tuple(4)?;
    let definition = MapDefinition {
        spread: reader.u16()?,
        schema: reader.u32()?,
    };
    if definition.spread == 0 {
        return Err(reader.error("a map is spread over a partition at least"));
    }
    let history = History(reader.u64()?);
    let selector = match reader.option(Reader::text)? {
        None => Selector::All,
        Some(prefix) => Selector::Prefix(prefix.to_owned()),
    };
    reader.end(tuple)?;
    Ok(MapRow {
        definition,
        history,
        selector,
    })
}

fn map_name(bytes: &[u8]) -> Result<MapName> {
    let name = std::str::from_utf8(bytes).map_err(|_| damaged(bytes))?;
    MapName::new(name)
}

fn run_id(bytes: &[u8]) -> Result<RunId> {
    let bytes = bytes.try_into().map_err(|_| damaged(bytes))?;
    Ok(RunId(u64::from_be_bytes(bytes)))
}

fn cursor_key(name: &MapName, partition: PartitionId) -> Bytes {
    [
        CURSOR_PREFIX,
        name.as_str().as_bytes(),
        b"\0",
        &partition.0.to_be_bytes(),
    ]
    .concat()
    .into()
}

/// The change that forgets every cursor of a map.
pub(super) fn forget_cursors(name: &MapName) -> Write {
    let head = [CURSOR_PREFIX, name.as_str().as_bytes()].concat();
    Write::DeleteRange {
        table: Table::Meta,
        from: [head.as_slice(), b"\0"].concat().into(),
        to: Some([head.as_slice(), b"\x01"].concat().into()),
    }
}

fn check_format(row: &MetaRow) -> Result<()> {
    match row {
        MetaRow::Format(version) if *version != FORMAT => Err(Error::new(
            ErrorKind::Version,
            "open store",
            format!(
                "the store has layout {version}; this program reads layout {FORMAT}: use the \
                 version of the program that wrote it, or a later one"
            ),
        )),
        _ => Ok(()),
    }
}

fn damaged(key: &[u8]) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "open store",
        "a row of the store has a damaged key",
    )
    .with("key", key.escape_ascii())
}

/// The key of a packed row of the outbox.
pub(super) fn log_key(run: RunId, first: u64) -> Bytes {
    [run.0.to_be_bytes(), first.to_be_bytes()].concat().into()
}

/// The first number that the key of a packed row names.
pub(super) fn first_of_log_key(key: &[u8]) -> Result<u64> {
    let (_, first) = key
        .split_last_chunk()
        .filter(|(run, _)| run.len() == 8)
        .ok_or_else(|| damaged(key))?;
    Ok(u64::from_be_bytes(*first))
}

/// The row of a confirmed record: its partition, then the record.
pub(super) fn record_row(partition: PartitionId, record: &Record) -> Bytes {
    let mut buffer = BytesMut::with_capacity(64 + record.value.as_ref().map_or(0, Bytes::len));
    buffer.put_u16(partition.0);
    encode_record(record, &mut buffer);
    buffer.freeze()
}

/// The record that [`record_row`] wrote, and its partition.
pub(super) fn read_record_row(row: &Bytes) -> Result<(PartitionId, Record)> {
    let Some((partition, _)) = row.split_first_chunk() else {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "open store",
            "a record's row is too short",
        ));
    };
    let record = decode_record(&row.slice(partition.len()..))?;
    Ok((PartitionId(u16::from_be_bytes(*partition)), record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(row: &MetaRow) {
        let Write::Put { table, key, value } = row.put() else {
            panic!("a put");
        };
        assert_eq!(table, Table::Meta);
        let entry = Entry { key, value };
        assert_eq!(MetaRow::decode(&entry).unwrap().as_ref(), Some(row));
        let mut cut = entry;
        cut.value.truncate(cut.value.len() - 1);
        assert!(MetaRow::decode(&cut).is_err(), "{row:?}");
    }

    #[test]
    fn every_row_can_be_read_back_and_a_cut_one_cannot() {
        let name = MapName::new("a/b-ü").unwrap();
        let definition = MapDefinition {
            spread: 8,
            schema: 3,
        };
        let mut numbers = IntervalSet::default();
        numbers.insert(1, 5);
        numbers.insert(900, 70_000);
        let map = |selector| {
            let row = MapRow {
                definition,
                history: History(u64::MAX),
                selector,
            };
            MetaRow::Map(name.clone(), row)
        };
        for row in [
            MetaRow::format(),
            MetaRow::Namespace(Namespace::default()),
            MetaRow::Clock(Hlc::new(1 << 40, 7)),
            MetaRow::Fates(FateCounts {
                acked: u64::MAX,
                superseded: 2,
                rejected: 3,
            }),
            MetaRow::DataSet(DataSet {
                digest_key: DigestKey(5),
                partition_count: 271,
            }),
            map(Selector::All),
            map(Selector::Prefix("list1/".to_owned())),
            // A partition whose bytes look like the separator and a letter.
            MetaRow::Cursor(name.clone(), PartitionId(0x0041), History(3), Sequence(9)),
            MetaRow::Run(RunId(77), 4),
            MetaRow::Settled(RunId(78), numbers),
        ] {
            round_trip(&row);
        }
    }

    #[test]
    fn cursors_of_a_map_are_forgotten_without_those_of_others() {
        let name = MapName::new("todo").unwrap();
        let other = MapName::new("todos").unwrap();
        let Write::DeleteRange { from, to, .. } = forget_cursors(&name) else {
            panic!("a range");
        };
        let range = from..to.unwrap();
        for partition in [0, 1, 0xffff] {
            assert!(range.contains(&cursor_key(&name, PartitionId(partition))));
            assert!(!range.contains(&cursor_key(&other, PartitionId(partition))));
        }
    }

    #[test]
    fn rows_with_which_nothing_can_be_done_are_damaged() {
        let name = MapName::new("m").unwrap();
        let nowhere = MapRow {
            definition: MapDefinition {
                spread: 0,
                schema: 0,
            },
            history: History(1),
            selector: Selector::All,
        };
        for row in [
            MetaRow::Map(name, nowhere),
            MetaRow::DataSet(DataSet {
                digest_key: DigestKey(5),
                partition_count: 0,
            }),
            MetaRow::Run(RunId(7), u64::MAX),
        ] {
            let Write::Put { key, value, .. } = row.put() else {
                panic!("a put");
            };
            let error = MetaRow::decode(&Entry { key, value }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{row:?}");
        }
    }

    #[test]
    fn a_store_of_another_layout_is_named_as_such() {
        let Write::Put { key, value, .. } = MetaRow::Format(2).put() else {
            panic!("a put");
        };
        let error = MetaRow::decode(&Entry { key, value }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Version);
        for version in ["layout 2", "layout 1"] {
            assert!(error.message().contains(version), "{error}");
        }
    }
}
