//! A batch for the database: what a partition holds that the database lacks, as of one moment.

use std::time::Duration;

use grid_core::Sequence;
use grid_core::mutation::{Mutation, planted};
use grid_core::partition::{Budget, PieceEnd};
use grid_core::traits::{AddressedRecord, Epoch, StateRecord};

use super::backing::Goal;
use crate::partition_service::Owned;

/// A batch for the database.
#[derive(Debug)]
pub(super) struct Batch {
    /// The ownership under which it was made.
    pub(super) epoch: Epoch,
    pub(super) records: Vec<AddressedRecord>,
    /// The state record that the database has.
    pub(super) before: StateRecord,
    /// Where the piece of the pass ends.
    pub(super) end: PieceEnd,
    /// The goal that the pass has reached once the batch is stored.
    pub(super) completes: Option<Goal>,
    /// Tombstones were collected up to here; none if it is not the time for it.
    collected: Option<Sequence>,
}

impl Batch {
    /// The next batch of a partition at `now` (monotonic), of no more than `budget`: of the pass
    /// under way, or the first of a new one. None if the database has everything, or it is not
    /// known what it has.
    pub(super) fn of(owned: &mut Owned, budget: Budget, now: Duration) -> Option<Self> {
        if !owned.has_unstored() {
            return None;
        }
        let Owned {
            partition, backing, ..
        } = owned;
        let under_way = backing.goal().cloned().zip(partition.piece(budget));
        let (goal, piece) = under_way.unwrap_or_else(|| {
            let (state, tail) = (partition.save(owned.tail), owned.tail);
            let goal = backing.begin(state, tail, partition.horizon(), now);
            (
                goal.clone(),
                partition.begin_pass(backing.sequence(), budget),
            )
        });
        let completes = piece.end.last || planted(Mutation::StateAheadOfData);
        Some(Self {
            epoch: owned.epoch,
            records: piece.records,
            before: backing.state().clone(),
            end: piece.end,
            completes: completes.then_some(goal),
            collected: (backing.collect_not_before <= now).then(|| backing.collected()),
        })
    }

    /// The state record that goes with the records: it may lag them, and never leads.
    pub(super) fn state(&self) -> &StateRecord {
        let goal = self.completes.as_ref();
        goal.map_or(&self.before, |goal| &goal.state)
    }

    /// Up to where the database may forget tombstones once the batch is stored, if that is news.
    pub(super) fn collects(&self) -> Option<Sequence> {
        let horizon = self.completes.as_ref()?.horizon;
        (horizon > self.collected?).then_some(horizon)
    }
}
