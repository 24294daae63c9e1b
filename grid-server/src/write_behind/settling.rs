//! Operators' orders to settle dead letters: one at a time for each letter, and none for one that
//! is given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::traits::RecordCursor;
use grid_core::{Error, ErrorKind, PartitionId, Result, Sequence};

use super::dead_letters::{Buried, DeadLetter};
use crate::partition_service::Shard;

/// What operators have ordered for the letters of one partition.
#[derive(Debug, Default)]
pub(crate) struct Orders(BTreeMap<RecordCursor, (Sequence, Stage)>);

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody was told yet what came of it.
    UnderWay,
    /// The letter was dropped, and stays in the database until the entry's next version is there.
    GivenUp,
}

impl Orders {
    fn stage(&self, letter: &DeadLetter) -> Option<Stage> {
        let (sequence, stage) = self.0.get(&letter.cursor())?;
        (*sequence == letter.record.sequence).then_some(*stage)
    }

    /// Whether the letter is given up, and in the database only for a while.
    pub(crate) fn has_given_up(&self, letter: &DeadLetter) -> bool {
        self.stage(letter) == Some(Stage::GivenUp)
    }

    /// Lets go of what concerns letters that are not among `buried` any more.
    pub(super) fn keep(&mut self, buried: &Buried) {
        self.0.retain(|cursor, (sequence, stage)| {
            *stage == Stage::UnderWay || buried.get(cursor) == Some(sequence)
        });
    }
}

/// The right to settle one letter, which nobody else has until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    shard: Arc<Shard>,
    partition: PartitionId,
    cursor: RecordCursor,
    sequence: Sequence,
}

impl Claim {
    /// The right to settle `letter`, as it was read.
    ///
    /// # Errors
    /// `NotFound` when it was given up, or settled since it was read; `Conflict` when another order
    /// for it is under way.
    pub(crate) fn take(shard: &Arc<Shard>, letter: &DeadLetter) -> Result<Self> {
        let cursor = letter.cursor();
        let sequence = letter.record.sequence;
        let mut partitions = shard.lock();
        // A partition that has gone elsewhere meanwhile refuses the order itself.
        if let Some(owned) = partitions.get_mut(&letter.partition) {
            let backing = &mut owned.backing;
            match backing.orders.stage(letter) {
                Some(Stage::GivenUp) => return Err(not_found(&letter.id)),
                Some(Stage::UnderWay) => return Err(under_way(&letter.id)),
                None if backing.has_settled(letter) => return Err(not_found(&letter.id)),
                None => {}
            }
            let order = (sequence, Stage::UnderWay);
            backing.orders.0.insert(cursor.clone(), order);
        }
        Ok(Self {
            shard: shard.clone(),
            partition: letter.partition,
            cursor,
            sequence,
        })
    }

    /// The letter is given up: nobody finds it from now on.
    pub(crate) fn give_up(self) {
        let mut partitions = self.shard.lock();
        let owned = partitions.get_mut(&self.partition);
        let order = owned.and_then(|owned| owned.backing.orders.0.get_mut(&self.cursor));
        // The order for a later version in the same letter is somebody else's.
        if let Some((_, stage)) = order.filter(|(sequence, _)| *sequence == self.sequence) {
            *stage = Stage::GivenUp;
        }
        drop(partitions);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Where a panic has poisoned the shard, a second one here would end the whole process.
        if std::thread::panicking() {
            return;
        }
        let mut partitions = self.shard.lock();
        if let Some(owned) = partitions.get_mut(&self.partition) {
            let mine = (self.sequence, Stage::UnderWay);
            let orders = &mut owned.backing.orders.0;
            if orders.get(&self.cursor) == Some(&mine) {
                orders.remove(&self.cursor);
            }
        }
    }
}

/// No such letter.
pub(crate) fn not_found(id: &str) -> Error {
    let message = "there is no letter of this id, or it is settled";
    Error::new(ErrorKind::NotFound, "find dead letter", message).with("id", id)
}

fn under_way(id: &str) -> Error {
    let message = "another order for this letter is under way: look again when it is answered";
    Error::new(ErrorKind::Conflict, "settle dead letter", message).with("id", id)
}
