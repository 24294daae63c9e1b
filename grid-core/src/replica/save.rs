//! Making things durable: local writes become ops, and what the server told becomes rows, in one
//! atomic batch.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::log_position::LogPosition;
use super::overlay::Overlaid;
use super::replica::{Replica, Saving, map_entry};
use super::row::{MetaRow, log_key};
use crate::address::{Key, MapName};
use crate::codec::{encode_ops, op_bound};
use crate::error::{Error, ErrorKind, Result};
use crate::hlc::Hlc;
use crate::op::{AckLevel, Action, Op, OpId, RunId, Stamp};
use crate::protocol::Stored;
use crate::traits::{Batch, Table, Write};

/// Most ops in one packed row of the outbox.
pub const MAX_OPS_PER_ROW: usize = 1_000;
/// The size at which a packed row of the outbox is closed, in bytes.
pub const TARGET_ROW_BYTES: usize = 256 * 1024;

/// More than a row takes beside its value: key, map and fields of an op or record.
const ROW_OVERHEAD_BYTES: usize = 1024;

/// A write of the application that is not durable yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalWrite {
    /// The map.
    pub map: MapName,
    /// The entry.
    pub key: Key,
    /// What to do.
    pub action: Action,
    /// If given, the server applies the write only to exactly this version.
    pub if_version: Option<Stamp>,
    /// The version of the value's schema.
    pub schema: u32,
    /// When the server is to tell what became of it; none leaves that to the server's settings.
    pub ack: Option<AckLevel>,
}

/// One batch on its way to the store. Hand `batch` to [`crate::traits::Storage::apply`], then the
/// save to [`Replica::saved`] or [`Replica::failed`]. There is one at a time.
#[derive(Debug)]
#[must_use = "hand it back with Replica::saved or Replica::failed"]
pub struct Save {
    /// What to store.
    pub batch: Batch,
    ordinal: u64,
    rows: Vec<Vec<Op>>,
    /// The part of the batch that came from the server.
    confirmed: Vec<Write>,
    stored: Vec<Stored>,
    /// Whether it makes settlements durable.
    settled: bool,
}

impl Save {
    /// The ops that the local writes became, in their order.
    pub fn ops(&self) -> impl Iterator<Item = OpId> {
        self.rows.iter().flatten().map(|op| op.id)
    }
}

impl Replica {
    /// Checks what a local write must keep to be taken at all.
    ///
    /// # Errors
    /// `TooLarge` when the value exceeds the bound.
    pub fn check(&self, write: &LocalWrite) -> Result<()> {
        let most = self.store_value_bytes.min(self.server_value_bytes);
        match &write.action {
            Action::Put { value, .. } if value.len() > most => {
                let message = format!(
                    "the value has {} bytes; at most {most} are allowed: split it",
                    value.len()
                );
                Err(Error::new(ErrorKind::TooLarge, "put", message).with("key", &write.key))
            }
            _ => Ok(()),
        }
    }

    /// Bounds values so that their rows fit into a store whose largest value is `bytes`, whatever
    /// the server takes: one row too large would fail the batch, and all others with it.
    pub fn limit_values(&mut self, bytes: usize) {
        self.store_value_bytes = bytes.saturating_sub(ROW_OVERHEAD_BYTES);
    }

    /// Whether the server told things that the store does not know yet.
    #[must_use]
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// How much memory waits to be stored, in bytes, about: bounds what is read from the server
    /// while the store is slow.
    #[must_use]
    pub fn unsaved_bytes(&self) -> usize {
        self.unsaved.bytes
    }

    /// Makes a batch of `writes`, which were checked, and of all that the server told; `None` when
    /// there is nothing. The application sees the writes once [`Replica::saved`] is told.
    ///
    /// # Errors
    /// `Internal` when the ops cannot be encoded; nothing happened then.
    pub fn begin_save(&mut self, writes: Vec<LocalWrite>, now_ms: u64) -> Result<Option<Save>> {
        if writes.is_empty() && self.unsaved.is_empty() {
            return Ok(None);
        }
        let rows = pack(self.make_ops(writes, now_ms));
        let mut local = Vec::with_capacity(rows.len() + 2);
        for ops in &rows {
            local.push(log_row(ops)?);
        }
        if self.clock.last() != self.stored_clock {
            // Also what was only seen: a write after a restart comes after what it knew.
            self.stored_clock = self.clock.last();
            local.push(MetaRow::Clock(self.stored_clock).put());
        }
        if !rows.is_empty() && !self.outbox.is_recorded(self.ordinal) {
            local.push(MetaRow::Run(self.run, self.ordinal).put());
        }
        self.saving = Some(Saving {
            ops: !rows.is_empty(),
        });
        let settled = self.unsaved.settled;
        let confirmed = self.take_confirmed();
        let mut batch = Batch::default();
        batch.writes.clone_from(&confirmed);
        batch.writes.append(&mut local);
        Ok(Some(Save {
            batch,
            ordinal: self.ordinal,
            rows,
            confirmed,
            stored: self.outbox.take_stored(),
            settled,
        }))
    }

    /// The batch is durable: its writes show, and go to the server.
    pub fn saved(&mut self, save: Save) {
        self.saving = None;
        if !save.rows.is_empty() {
            self.outbox.set_recorded(save.ordinal);
        }
        for ops in save.rows {
            let first = ops.first().map_or(0, |op| op.id.number);
            for op in &ops {
                let position = LogPosition {
                    ordinal: save.ordinal,
                    number: op.id.number,
                };
                let map = map_entry(&mut self.maps, self.data_set, &op.map);
                map.change(&op.key, &mut self.notes, |map| {
                    map.overlay.push(&op.key, Overlaid::new(position, op));
                });
            }
            self.outbox.add_row(save.ordinal, first, ops);
        }
        self.outbox.add_reported(&save.stored);
        self.report(save.stored);
        self.release_runs();
    }

    /// The batch was not stored: its local writes are forgotten, what the server told is kept for
    /// the next batch. Numbers and instants that the writes had are not used again, because a
    /// store that failed may have stored them all the same.
    pub fn failed(&mut self, save: Save) {
        self.saving = None;
        self.stored_clock = Hlc::ZERO;
        self.unsaved.settled |= save.settled;
        self.unsaved.bytes = 0;
        let later = std::mem::take(&mut self.unsaved.writes);
        for write in save.confirmed.into_iter().chain(later) {
            self.unsaved.push(write);
        }
        self.outbox.put_back_stored(save.stored);
    }

    fn make_ops(&mut self, writes: Vec<LocalWrite>, now_ms: u64) -> Vec<Op> {
        let now_ms = now_ms.saturating_add_signed(self.correction_ms.unwrap_or(0));
        // What an op of this batch rests on that follows another on the same key.
        let mut bases: BTreeMap<(MapName, Key), Hlc> = BTreeMap::new();
        let mut ops = Vec::with_capacity(writes.len());
        for write in writes {
            let address = (write.map, write.key);
            let base = bases.get(&address).copied().unwrap_or_else(|| {
                let map = self.maps.get(&address.0);
                map.map_or(Hlc::ZERO, |map| map.base(&address.1))
            });
            let rests_on = match write.action {
                Action::Put { .. } => base,
                Action::Remove => Hlc::ZERO,
            };
            bases.insert(address.clone(), rests_on);
            let (map, key) = address;
            ops.push(Op {
                id: OpId {
                    run: self.run,
                    number: self.next_number,
                },
                hlc: self.clock.tick(now_ms),
                map,
                key,
                action: write.action,
                base,
                if_version: write.if_version,
                schema: write.schema,
                ack: write.ack,
            });
            self.next_number += 1;
        }
        ops
    }

    /// The rows of what the server told since the last batch.
    fn take_confirmed(&mut self) -> Vec<Write> {
        let mut writes = std::mem::take(&mut self.unsaved.writes);
        self.unsaved.bytes = 0;
        if std::mem::take(&mut self.unsaved.settled) {
            writes.push(MetaRow::Fates(self.fates).put());
        }
        for name in std::mem::take(&mut self.unsaved.maps) {
            writes.extend(self.map_row(&name).map(|row| row.put()));
        }
        for (name, partition) in std::mem::take(&mut self.unsaved.cursors) {
            let row = self.maps.get(&name).and_then(|map| {
                let cursor = map.confirmed.cursor(partition)?;
                Some(MetaRow::Cursor(name, partition, map.history, cursor))
            });
            writes.extend(row.map(|row| row.put()));
        }
        self.outbox.take_writes(&mut writes);
        writes
    }
}

/// Splits ops into packed rows.
fn pack(ops: Vec<Op>) -> Vec<Vec<Op>> {
    let mut rows: Vec<Vec<Op>> = Vec::new();
    let mut bytes = 0;
    for op in ops {
        let bound = op_bound(&op);
        match rows.last_mut() {
            Some(row) if row.len() < MAX_OPS_PER_ROW && bytes + bound <= TARGET_ROW_BYTES => {
                bytes += bound;
                row.push(op);
            }
            _ => {
                bytes = bound;
                rows.push(vec![op]);
            }
        }
    }
    rows
}

fn log_row(ops: &[Op]) -> Result<Write> {
    let (run, first) = ops
        .first()
        .map_or((RunId::default(), 0), |op| (op.id.run, op.id.number));
    let mut buffer = BytesMut::new();
    encode_ops(ops, &mut buffer)?;
    Ok(Write::Put {
        table: Table::Log,
        key: log_key(run, first),
        value: Bytes::from(buffer),
    })
}
