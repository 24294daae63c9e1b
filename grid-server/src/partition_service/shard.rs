//! The partitions of one worker, shared with the task that writes them to the database.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use grid_core::PartitionId;
use grid_core::partition::Partition;
use grid_core::traits::{Epoch, Position};

use crate::write_behind::Backing;

/// A partition and what its writer knows about it.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) partition: Partition,
    pub(crate) epoch: Epoch,
    /// The last journal batch that was applied.
    pub(crate) tail: Position,
    /// A batch of which is not known whether the journal has it.
    pub(crate) unknown: Option<Bytes>,
    /// Another owner has written: nothing is decided here any more.
    pub(crate) fenced: bool,
    /// What the database has of it.
    pub(crate) backing: Backing,
}

impl Owned {
    /// Changes that the database does not have.
    pub(crate) fn backlog(&self) -> u64 {
        self.partition.sequence().0 - self.backing.through().0
    }

    /// Whether there is something that the database is known not to have.
    pub(crate) fn has_unstored(&self) -> bool {
        self.backing.is_confirmed() && self.tail != self.backing.position()
    }

    /// Whether the partition needs an epoch record, though its owner goes on: the state that is
    /// stored after it is of a higher sequence than all that may still come, and the journal may go
    /// then.
    pub(crate) fn wants_epoch(&self) -> bool {
        self.backing.is_held_up(self.partition.sequence())
    }
}

/// Partitions by number.
pub(crate) type Partitions = BTreeMap<PartitionId, Owned>;

/// The lock around them. It is held for computing only, never over an await.
#[derive(Debug, Default)]
pub(crate) struct Shard(Mutex<Partitions>);

impl Shard {
    pub(crate) fn new(partitions: Partitions) -> Self {
        Self(Mutex::new(partitions))
    }

    #[expect(
        clippy::expect_used,
        reason = "a panic in the middle of a change leaves a state that must not be served"
    )]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Partitions> {
        self.0.lock().expect("no change of a partition panicked")
    }
}
