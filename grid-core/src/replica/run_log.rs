//! One run of the outbox: its packed rows, and which of its ops are settled.

use std::collections::{BTreeMap, BTreeSet};

use super::interval_set::IntervalSet;
use super::row::{MetaRow, log_key};
use crate::address::PartitionId;
use crate::op::RunId;
use crate::protocol::Stored;
use crate::traits::{Table, Write};

/// One packed row of the store.
#[derive(Debug)]
struct PackedRow {
    last: u64,
    unsettled: u64,
}

#[derive(Debug)]
pub(super) struct RunLog {
    pub(super) id: RunId,
    /// Whether the store knows the run.
    pub(super) recorded: bool,
    /// The highest number that was ever committed.
    pub(super) last: u64,
    /// The packed rows by their first number.
    rows: BTreeMap<u64, PackedRow>,
    /// Settled numbers whose packed row still exists.
    settled: IntervalSet,
    /// Settled ops whose verdicts the server still keeps one by one.
    exceptions: BTreeMap<PartitionId, BTreeSet<u64>>,
    /// Up to where the server was told that verdicts are stored, until it surely heard.
    pub(super) reported: BTreeMap<PartitionId, u64>,
}

impl RunLog {
    /// A run that the store knows.
    pub(super) fn new(id: RunId, settled: IntervalSet) -> Self {
        Self {
            id,
            recorded: true,
            last: 0,
            rows: BTreeMap::new(),
            settled,
            exceptions: BTreeMap::new(),
            reported: BTreeMap::new(),
        }
    }

    /// Whether every op is settled.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn is_settled(&self, number: u64) -> bool {
        self.settled.contains(number)
    }

    /// Takes note of a packed row of which `unsettled` ops are pending.
    pub(super) fn add_row(&mut self, first: u64, last: u64, unsettled: u64) {
        self.last = self.last.max(last);
        self.rows.insert(first, PackedRow { last, unsettled });
    }

    /// Takes note that an op is settled, and of where the server keeps a verdict of its own for
    /// it; the deletion of its packed row, if it was the last of it.
    pub(super) fn settle(&mut self, number: u64, exception: Option<PartitionId>) -> Option<Write> {
        if let Some(partition) = exception {
            self.exceptions.entry(partition).or_default().insert(number);
        }
        self.settled.insert(number, number);
        let (first, row) = self.rows.range_mut(..=number).next_back()?;
        row.unsettled = row.unsettled.saturating_sub(1);
        if row.unsettled > 0 {
            return None;
        }
        let (first, last) = (*first, row.last);
        self.rows.remove(&first);
        self.settled.remove(first, last);
        Some(Write::Delete {
            table: Table::Log,
            key: log_key(self.id, first),
        })
    }

    /// The change that makes the settled numbers durable.
    pub(super) fn settled_row(&self) -> Write {
        let row = MetaRow::Settled(self.id, self.settled.clone());
        if self.settled.is_empty() {
            row.delete()
        } else {
            row.put()
        }
    }

    pub(super) fn has_exceptions(&self) -> bool {
        !self.exceptions.is_empty()
    }

    /// Takes the partitions in which verdicts up to `through` may be forgotten by the server.
    pub(super) fn take_stored(&mut self, through: u64, stored: &mut Vec<Stored>) {
        let run = self.id;
        self.exceptions.retain(|partition, numbers| {
            let kept = numbers.split_off(&through.saturating_add(1));
            if !numbers.is_empty() {
                stored.push(Stored {
                    run,
                    partition: *partition,
                    through,
                });
            }
            *numbers = kept;
            !numbers.is_empty()
        });
    }

    pub(super) fn reported(&self) -> impl Iterator<Item = Stored> {
        self.reported.iter().map(|(partition, through)| Stored {
            run: self.id,
            partition: *partition,
            through: *through,
        })
    }

    /// A report that was taken has to be made again.
    pub(super) fn put_back(&mut self, report: &Stored) {
        let numbers = self.exceptions.entry(report.partition).or_default();
        numbers.insert(report.through);
    }
}
