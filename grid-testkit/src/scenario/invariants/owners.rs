//! Never two owners acking.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::protocol::Message;
use grid_core::traits::Epoch;
use grid_core::{PartitionId, Sequence};

use crate::scenario::{Event, Invariant, View, name_of};
use crate::sim::{FrameFate, PartyId};

/// Each partition is one line of batches, and the epochs in it never go back: whoever writes after
/// a later owner has begun, or beside the line, acknowledges nothing of that partition any more.
/// And nobody serves a partition before its journal shows that it has begun.
///
/// Looks at runs with several servers, which share a journal.
#[derive(Debug, Default)]
pub(super) struct OneOwnerAcks {
    lines: BTreeMap<PartitionId, Line>,
    /// Who has begun since it was up.
    begun: BTreeSet<(PartitionId, PartyId)>,
    /// What was written beside the line, by whom.
    beside: BTreeMap<(PartitionId, PartyId), String>,
}

/// Where a partition stands.
#[derive(Debug, Clone, Copy)]
struct Line {
    owner: PartyId,
    epoch: Epoch,
    through: Sequence,
}

impl Invariant for OneOwnerAcks {
    fn name(&self) -> &'static str {
        "never two owners acking"
    }

    fn observe(&mut self, event: &Event, _: &View<'_>) -> Result<(), String> {
        match event {
            Event::Journalled {
                server,
                partition,
                epoch,
                after,
                through,
                ..
            } => {
                let line = Line {
                    owner: *server,
                    epoch: *epoch,
                    through: *through,
                };
                self.written(*partition, line, *after);
                self.begun.insert((*partition, *server));
                Ok(())
            }
            Event::Down(party) => {
                self.begun.retain(|(_, server)| server != party);
                Ok(())
            }
            Event::Frame {
                from,
                fate: FrameFate::Sent,
                message: Some(message),
                ..
            } => match &**message {
                // It names a window, and acknowledges nothing.
                Message::Ack(ack) if ack.accepted.is_empty() && ack.exceptions.is_empty() => Ok(()),
                Message::Ack(ack) => {
                    self.serves(*from, [ack.partition])?;
                    self.acked(*from, ack.partition, ack.sequence)
                }
                Message::Delta(delta) => self.serves(*from, [delta.partition]),
                Message::CaughtUp(caught_up) => {
                    self.serves(*from, caught_up.cursor.iter().map(|(id, _)| *id))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl OneOwnerAcks {
    fn serves(
        &self,
        by: PartyId,
        partitions: impl IntoIterator<Item = PartitionId>,
    ) -> Result<(), String> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut partitions = partitions.into_iter();
        match partitions.find(|partition| !self.begun.contains(&(*partition, by))) {
            None => Ok(()),
            Some(partition) => Err(format!(
                "{} serves partition {partition}, and has written no epoch record",
                name_of(by)
            )),
        }
    }

    fn written(&mut self, partition: PartitionId, batch: Line, after: Sequence) {
        let place = (partition, batch.owner);
        let Some(line) = self.lines.get_mut(&partition) else {
            self.lines.insert(partition, batch);
            return;
        };
        if batch.epoch < line.epoch || after != line.through {
            let what = format!(
                "it wrote after sequence {after} at epoch {}, while {} stands at {} of epoch {}",
                batch.epoch.0,
                name_of(line.owner),
                line.through,
                line.epoch.0
            );
            self.beside.entry(place).or_insert(what);
            return;
        }
        *line = batch;
        self.beside.remove(&place);
    }

    fn acked(&self, by: PartyId, partition: PartitionId, sequence: Sequence) -> Result<(), String> {
        match self.beside.get(&(partition, by)) {
            None => Ok(()),
            Some(what) => Err(format!(
                "{} acknowledges sequence {sequence} of partition {partition}: {what}",
                name_of(by)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: PartitionId = PartitionId(3);
    const OLD: PartyId = PartyId(0);
    const NEW: PartyId = PartyId(1);

    fn line(owner: PartyId, epoch: u64, through: u64) -> Line {
        Line {
            owner,
            epoch: Epoch(epoch),
            through: Sequence(through),
        }
    }

    #[test]
    fn acks_are_those_of_one_line_of_epochs() {
        let mut invariant = OneOwnerAcks::default();
        let written = [
            (line(OLD, 1, 5), 0),
            (line(NEW, 2, 6), 5),
            (line(NEW, 2, 9), 6),
        ];
        for (batch, after) in written {
            invariant.written(ID, batch, Sequence(after));
        }
        // What it wrote before its successor began may be told late.
        assert_eq!(invariant.acked(OLD, ID, Sequence(5)), Ok(()));
        assert_eq!(invariant.acked(NEW, ID, Sequence(9)), Ok(()));
    }

    #[test]
    fn an_ack_of_what_was_written_beside_the_line_is_noticed() {
        let mut invariant = OneOwnerAcks::default();
        invariant.written(ID, line(OLD, 1, 5), Sequence(0));
        invariant.written(ID, line(NEW, 2, 6), Sequence(5));
        invariant.written(ID, line(OLD, 1, 6), Sequence(5));
        let told = invariant.acked(OLD, ID, Sequence(6)).unwrap_err();
        assert!(
            told.contains("server 0") && told.contains("epoch 2"),
            "{told}"
        );
        assert_eq!(invariant.acked(NEW, ID, Sequence(6)), Ok(()));
        // Once it is the owner again, and has read what stands there, it may.
        invariant.written(ID, line(OLD, 3, 7), Sequence(6));
        assert_eq!(invariant.acked(OLD, ID, Sequence(7)), Ok(()));
    }

    #[test]
    fn who_serves_has_begun() {
        let mut invariant = OneOwnerAcks::default();
        assert_eq!(
            invariant.serves(OLD, [ID]),
            Ok(()),
            "nobody shares a journal"
        );
        invariant.written(ID, line(OLD, 1, 1), Sequence(0));
        invariant.begun.insert((ID, OLD));
        assert_eq!(invariant.serves(OLD, [ID]), Ok(()));
        let told = invariant.serves(NEW, [ID]).unwrap_err();
        assert!(told.contains("server 1 serves partition 3"), "{told}");
    }

    #[test]
    fn two_of_one_epoch_are_noticed_too() {
        let mut invariant = OneOwnerAcks::default();
        invariant.written(ID, line(OLD, 1, 5), Sequence(0));
        invariant.written(ID, line(NEW, 1, 4), Sequence(3));
        assert!(invariant.acked(NEW, ID, Sequence(4)).is_err());
    }
}
