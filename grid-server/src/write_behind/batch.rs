//! A batch for the database: what a partition holds that the database lacks, as of one moment.

use std::time::Duration;

use grid_core::mutation::{Mutation, planted};
use grid_core::partition::Budget;
use grid_core::traits::{AddressedRecord, Epoch, StateRecord};

use super::backing::{Level, Mark};
use crate::partition_service::Owned;

/// A batch for the database.
#[derive(Debug)]
pub(super) struct Batch {
    /// The ownership under which it was made.
    pub(super) epoch: Epoch,
    pub(super) records: Vec<AddressedRecord>,
    /// The state record that the database has.
    pub(super) before: StateRecord,
    pub(super) mark: Mark,
}

impl Batch {
    /// The next batch of a partition at `now` (monotonic), of no more than `budget`; none if the
    /// database has everything, or it is not known what it has.
    pub(super) fn of(owned: &Owned, budget: Budget, now: Duration) -> Option<Self> {
        let backing = &owned.backing;
        if !backing.is_confirmed() || owned.tail == backing.position() {
            return None;
        }
        let unstored = owned.partition.unstored(backing.through(), budget);
        let is_level = unstored.last || planted(Mutation::StateAheadOfData);
        let level = is_level.then(|| Level {
            state: owned.partition.save(owned.tail),
            position: owned.tail,
            bytes: backing.waiting_bytes(),
            at: now,
        });
        let horizon = owned.partition.horizon();
        let collects = unstored.last && horizon > backing.collected();
        Some(Self {
            epoch: owned.epoch,
            records: unstored.records,
            before: backing.state().clone(),
            mark: Mark {
                through: unstored.through,
                level,
                collect: collects.then_some(horizon),
            },
        })
    }

    /// The state record that goes with the records: it may lag them, and never leads.
    pub(super) fn state(&self) -> &StateRecord {
        let level = self.mark.level.as_ref();
        level.map_or(&self.before, |level| &level.state)
    }
}
