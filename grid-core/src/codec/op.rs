//! Ops of one run, as a push frame and as a row of an outbox hold them.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::reader::Reader;
use super::record::check_row_version;
use super::writer::Writer;
use crate::address::MapName;
use crate::error::{Error, ErrorKind, Result};
use crate::hlc::Hlc;
use crate::op::{AckLevel, Action, Op, OpId, RunId};

/// The version of the format of an outbox row.
const ROW_VERSION: u8 = 1;
/// The fields of an op.
const FIELDS: usize = 9;
/// Fewest bytes of an op: its array's head, a key of one letter, and eight fields.
const LEAST_OP_BYTES: usize = 11;
/// Fewest bytes of a map's name.
const LEAST_NAME_BYTES: usize = 2;

/// The maps of some ops, each once, in the order of their first op.
struct MapTable<'a> {
    names: Vec<&'a MapName>,
    /// All names but the first: mostly there is no other.
    indexes: BTreeMap<&'a str, usize>,
    last: usize,
}

impl<'a> MapTable<'a> {
    fn of(ops: &'a [Op]) -> Self {
        let mut table = Self {
            names: Vec::new(),
            indexes: BTreeMap::new(),
            last: 0,
        };
        for op in ops {
            table.index(&op.map);
        }
        table
    }

    /// The index of `map`, which is added if it is new. Mostly the map is that of the op before.
    #[inline]
    fn index(&mut self, map: &'a MapName) -> usize {
        let is_at = |index: usize| self.names.get(index).is_some_and(|known| *known == map);
        if !is_at(self.last) {
            self.last = if is_at(0) { 0 } else { self.other(map) };
        }
        self.last
    }

    fn other(&mut self, map: &'a MapName) -> usize {
        let next = self.names.len();
        if next == 0 {
            self.names.push(map);
            return 0;
        }
        *self.indexes.entry(map.as_str()).or_insert_with(|| {
            self.names.push(map);
            next
        })
    }
}

impl Writer<'_> {
    /// Writes ops of `run` as two fields: the names of their maps, and the ops as `[number, hlc,
    /// map, key, value, base, schema, ttl, if_version]`, number and time relative to the op before;
    /// where an ack level is asked for, it follows.
    pub(super) fn ops(&mut self, run: RunId, ops: &[Op]) -> Result<()> {
        let mut table = MapTable::of(ops);
        self.items(&table.names, |writer, name| writer.map_name(name));
        self.list(ops.len());
        let (mut number, mut hlc) = (0, Hlc::ZERO);
        for op in ops {
            if op.id.run != run || op.id.number <= number {
                return Err(misplaced(op));
            }
            let map = table.index(&op.map);
            self.op(op, map, op.id.number - number, hlc);
            (number, hlc) = (op.id.number, op.hlc);
        }
        Ok(())
    }

    #[inline]
    fn op(&mut self, op: &Op, map: usize, number: u64, hlc: Hlc) {
        self.tuple(FIELDS + usize::from(op.ack.is_some()));
        self.u64(number);
        self.distance(hlc.as_u64(), op.hlc.as_u64());
        self.u64(map as u64);
        self.key(&op.key);
        let ttl = match &op.action {
            Action::Put { value, ttl_ms } => {
                self.bytes(value);
                *ttl_ms
            }
            Action::Remove => {
                self.null();
                None
            }
        };
        self.hlc(op.base);
        self.u64(op.schema.into());
        self.option(ttl, Self::u64);
        self.option(op.if_version.as_ref(), Self::stamp);
        if let Some(level) = op.ack {
            self.u64(level.code());
        }
    }
}

impl Reader<'_> {
    /// Reads the two fields that [`Writer::ops`] wrote.
    pub(super) fn ops(&mut self, run: RunId) -> Result<Vec<Op>> {
        let maps = self.items(LEAST_NAME_BYTES, Self::map_name)?;
        let (mut number, mut hlc) = (0, Hlc::ZERO);
        self.items(LEAST_OP_BYTES, |reader| {
            let op = reader.op(run, &maps, number, hlc)?;
            (number, hlc) = (op.id.number, op.hlc);
            Ok(op)
        })
    }

    #[inline]
    fn op(&mut self, run: RunId, maps: &[MapName], number: u64, hlc: Hlc) -> Result<Op> {
        let mut tuple = self.tuple(FIELDS)?;
        let number = match number.checked_add(self.u64()?) {
            Some(next) if next > number => next,
            _ => return Err(self.error("op numbers do not ascend")),
        };
        let hlc = Hlc::from_u64(self.distance(hlc.as_u64())?);
        let map = self.u64()?;
        let map = usize::try_from(map).ok().and_then(|map| maps.get(map));
        let Some(map) = map else {
            return Err(self.error("an op names a map that the table does not hold"));
        };
        let key = self.key()?;
        let value = self.option(Self::bytes)?;
        let base = self.hlc()?;
        let schema = self.u32()?;
        let ttl_ms = self.option(Self::u64)?;
        let if_version = self.option(Self::stamp)?;
        // One of a later version than this asks for what every level up to it promises.
        let level = |reader: &mut Self| reader.option(Self::u64);
        let level = self.trailing(&mut tuple, level)?.flatten();
        let ack = level.map(|code| AckLevel::from_code(code).unwrap_or(AckLevel::Stored));
        self.end(tuple)?;
        let action = match (value, ttl_ms) {
            (Some(value), ttl_ms) => Action::Put { value, ttl_ms },
            (None, None) => Action::Remove,
            (None, Some(_)) => return Err(self.error("a removal has a lifetime")),
        };
        Ok(Op {
            id: OpId { run, number },
            hlc,
            map: map.clone(),
            key,
            action,
            base,
            if_version,
            schema,
            ack,
        })
    }
}

/// Appends the outbox row of `ops` (a version byte, then `[run, maps, ops]`) to `buffer`.
///
/// # Errors
/// `Invalid` when the ops are not of one run in ascending order of their numbers; `buffer` is then
/// as it was.
pub fn encode_ops(ops: &[Op], buffer: &mut BytesMut) -> Result<()> {
    let start = buffer.len();
    let run = ops.first().map(|op| op.id.run).unwrap_or_default();
    buffer.extend_from_slice(&[ROW_VERSION]);
    let mut writer = Writer::new(buffer);
    writer.tuple(3);
    writer.run(run);
    let written = writer.ops(run, ops);
    if written.is_err() {
        buffer.truncate(start);
    }
    written
}

/// The ops in `row`; their keys and values share the row's memory.
///
/// # Errors
/// `Corrupt` when the row holds no ops, `Version` when a later version of the code wrote it.
pub fn decode_ops(row: &Bytes) -> Result<Vec<Op>> {
    let mut reader = Reader::of_row(row);
    check_row_version(&mut reader, ROW_VERSION)?;
    let tuple = reader.tuple(3)?;
    let run = reader.run()?;
    let ops = reader.ops(run)?;
    reader.end(tuple)?;
    reader.finish()?;
    Ok(ops)
}

#[cold]
fn misplaced(op: &Op) -> Error {
    let message = "ops that travel together are of one run, with ascending numbers from 1";
    Error::new(ErrorKind::Invalid, "encode ops", message).with("op", op.id)
}
