//! A request of which is known what partitions it concerns.

use std::sync::Arc;

use grid_core::op::{Op, RunId};
use grid_core::partition::Veto;
use grid_core::protocol::{Read, Repair, Stored, Subscribe, ViewId};
use grid_core::{MapAddress, PartitionId};

use crate::sessions::Session;

/// A request and where it goes.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) session: Arc<Session>,
    pub(crate) work: RoutedWork,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum RoutedWork {
    /// Ops, in the order of their numbers.
    Push {
        run: RunId,
        /// All ops before this one have their verdicts, or are on their way.
        first: u64,
        /// Whether every worker has to know that the run comes back to there.
        resumes: bool,
        ops: Vec<(PartitionId, Op, Option<Veto>)>,
    },
    Stored(Vec<Stored>),
    Release(RunId),
    Subscribe {
        subscribe: Subscribe,
        address: MapAddress,
        partitions: Vec<PartitionId>,
    },
    Unsubscribe(ViewId),
    Repair(Repair),
    Read {
        read: Read,
        address: MapAddress,
        partitions: Vec<PartitionId>,
    },
}
