//! What a database has follows on what the journal has.

use std::collections::BTreeMap;

use grid_core::op::AckLevel;
use grid_core::protocol::{Ack, Message, Verdict};
use grid_core::traits::{AddressedRecord, RecordCursor};
use grid_core::{OpId, PartitionId, Sequence};
use grid_server::recovery::read_letter;

use super::backed::Backed;
use super::sent::sent;
use crate::scenario::{Event, Invariant, View};

/// The database is never ahead of the journal, and its state record never ahead of its records and
/// dead letters; a letter goes only when a version that is not older is stored; what is told to be
/// stored is; and no op is taken while as much waits for the database as may.
#[derive(Debug, Default)]
pub(super) struct DatabaseFollows {
    partitions: BTreeMap<PartitionId, Backed>,
    letters: BTreeMap<String, (PartitionId, RecordCursor, Sequence)>,
    /// Ops of which devices shall be told once they are stored or not; by their id.
    pushed: BTreeMap<OpId, AckLevel>,
    /// The version that each op made, as far as a journal has it.
    made: BTreeMap<OpId, (PartitionId, RecordCursor, Sequence)>,
    /// Whether a server is about to start on a backup. It may give up what does not fit.
    is_put_back: bool,
}

impl Invariant for DatabaseFollows {
    fn name(&self) -> &'static str {
        "the database follows the journal"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Durable {
                partition,
                after,
                through,
                records,
                ..
            } => self.durable(*partition, *after, *through, records, view),
            Event::Stored {
                partition,
                records,
                through,
                error: None,
                ..
            } if *partition == PartitionId::DEAD_LETTERS => self.letters(records, *through),
            Event::Stored {
                partition,
                records,
                through,
                error: None,
                ..
            } => self.stored(*partition, records, *through),
            Event::Holds(contents) => {
                self.is_put_back = true;
                self.letters.clear();
                self.made.clear();
                for (id, partition, _) in contents.partitions() {
                    let backed = self.partitions.entry(id).or_default();
                    backed.hold(partition);
                }
                Ok(())
            }
            Event::PutBack { remains, .. } => {
                self.is_put_back = false;
                for (id, backed) in &mut self.partitions {
                    backed.go_back(remains.sequence(*id), remains.is_new_history());
                }
                if !remains.is_new_history() {
                    for (id, cursor, sequence) in remains.versions() {
                        let backed = self.partitions.entry(id).or_default();
                        backed.await_store(cursor, sequence);
                    }
                }
                Ok(())
            }
            _ => match sent(event) {
                Some((_, Message::Push(push))) => {
                    for op in &push.ops {
                        let level = view.ack_level(op);
                        self.pushed.insert(op.id, level);
                    }
                    Ok(())
                }
                Some((_, Message::Ack(ack))) => self.acked(ack),
                _ => Ok(()),
            },
        }
    }
}

impl DatabaseFollows {
    fn durable(
        &mut self,
        id: PartitionId,
        after: Sequence,
        through: Sequence,
        records: &[AddressedRecord],
        view: &View<'_>,
    ) -> Result<(), String> {
        let backed = self.partitions.entry(id).or_default();
        if through <= backed.journalled() {
            return Ok(());
        }
        let bound = view.backlog_records();
        let ops = records.iter().map(|one| one.record.stamp.op);
        let waiting = backed.waiting(after);
        if waiting >= bound && ops.clone().any(|op| self.pushed.contains_key(&op)) {
            return Err(format!(
                "ops of partition {id} are taken while {waiting} changes wait for the database, and \
                 {bound} may"
            ));
        }
        backed.journal(through);
        for one in records {
            let (cursor, sequence) = (RecordCursor::of(one), one.record.sequence);
            backed.await_store(cursor.clone(), sequence);
            self.made
                .insert(one.record.stamp.op, (id, cursor, sequence));
        }
        Ok(())
    }

    fn stored(
        &mut self,
        id: PartitionId,
        records: &[AddressedRecord],
        through: Sequence,
    ) -> Result<(), String> {
        let backed = self.partitions.entry(id).or_default();
        let newest = records.iter().map(|one| one.record.sequence).max();
        let newest = newest.unwrap_or_default().max(through);
        if newest > backed.journalled() && !self.is_put_back {
            return Err(format!(
                "the database has change {newest} of partition {id}, and the journal none after {}",
                backed.journalled()
            ));
        }
        for one in records {
            backed.store(RecordCursor::of(one), one.record.sequence);
        }
        match backed.state(through) {
            Some((cursor, sequence)) if !self.is_put_back => Err(format!(
                "the database is level with change {through} of partition {id}, and has neither \
                 change {sequence}, of {}/{}, nor a dead letter of it",
                cursor.address, cursor.key
            )),
            _ => Ok(()),
        }
    }

    fn letters(&mut self, records: &[AddressedRecord], _: Sequence) -> Result<(), String> {
        for one in records {
            let id = one.record.key.as_str();
            let before = self.letters.get(id);
            if before.is_some_and(|(_, _, held)| *held > one.record.sequence) {
                continue;
            }
            let letter = read_letter(&one.record).map_err(|error| error.to_string())?;
            if let Some(letter) = letter {
                let cursor = RecordCursor {
                    address: letter.address.clone(),
                    key: letter.record.key.clone(),
                };
                let sequence = letter.record.sequence;
                let backed = self.partitions.entry(letter.partition).or_default();
                backed.bury(cursor.clone(), sequence);
                let held = (letter.partition, cursor, sequence);
                self.letters.insert(id.to_owned(), held);
            } else if let Some((partition, cursor, sequence)) = self.letters.remove(id) {
                let backed = self.partitions.entry(partition).or_default();
                if !backed.unbury(&cursor, sequence) {
                    return Err(format!(
                        "the dead letter of {}/{} is gone, and the database has no change \
                         {sequence} of it or a later one",
                        cursor.address, cursor.key
                    ));
                }
            }
        }
        Ok(())
    }

    fn acked(&self, ack: &Ack) -> Result<(), String> {
        let ranges = ack.accepted.iter();
        let accepted = ranges.flat_map(|range| range.first..range.first + range.count);
        let restamped = ack.exceptions.iter().filter_map(|one| match one.verdict {
            Verdict::Restamped(_) => Some(one.number),
            _ => None,
        });
        for number in accepted.chain(restamped) {
            let op = OpId {
                run: ack.run,
                number,
            };
            if self.pushed.get(&op) != Some(&AckLevel::Stored) {
                continue;
            }
            let Some((id, cursor, sequence)) = self.made.get(&op) else {
                continue;
            };
            let backed = self.partitions.get(id);
            if !backed.is_some_and(|backed| backed.has(cursor, *sequence)) {
                return Err(format!(
                    "op {op} is told to be stored; the database has neither change {sequence} of \
                     partition {id} nor a dead letter of it"
                ));
            }
        }
        Ok(())
    }
}
