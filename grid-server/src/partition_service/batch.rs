//! What the service is asked, and what it answers.

use std::fmt;
use std::sync::Arc;

use grid_core::partition::{Applied, Effects, Outcome, ProposalBatch};
use grid_core::traits::{Epoch, Principal};
use grid_core::{Error, PartitionId, Result};

/// Work of several partitions of one worker, journalled together.
#[derive(Debug, Default)]
pub(crate) struct WorkBatch {
    /// Each partition at most once.
    pub(crate) parts: Vec<PartWork>,
    /// Who is told what was decided, before it is durable.
    pub(crate) early: Option<Box<dyn Early>>,
}

/// Is told what was decided, before it is durable.
pub(crate) trait Early: Send + fmt::Debug {
    /// The outcomes of a partition's proposals, in their order.
    fn decided(&mut self, partition: PartitionId, outcomes: &[Outcome]);
}

/// Work of one partition.
#[derive(Debug)]
pub(crate) struct PartWork {
    pub(crate) partition: PartitionId,
    /// The epoch at which its worker believes to own it.
    pub(crate) epoch: Epoch,
    pub(crate) work: Work,
    /// Why nothing of it may be done, once a layer has said so.
    pub(crate) refusal: Option<Error>,
}

/// What to decide.
#[derive(Debug)]
pub(crate) enum Work {
    /// What clients and the program ask for.
    Decide {
        batch: ProposalBatch,
        /// Who pushed each proposal; none for the server's own.
        authors: Vec<Option<Arc<Principal>>>,
    },
    /// What is due by time.
    Housekeeping,
}

/// What became of the work of one partition.
#[derive(Debug)]
pub(crate) struct PartResult {
    pub(crate) partition: PartitionId,
    /// What is durable although the result is an error: an earlier batch of which that was not
    /// known, or what was asked for beside ops that have to wait.
    pub(crate) late: Option<Committed>,
    /// Whether [`Early`] was told the outcomes.
    pub(crate) told_early: bool,
    /// An error means that no op was taken, and that trying again may help.
    pub(crate) result: Result<Committed>,
}

/// Work that is durable and applied.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) effects: Effects,
    pub(crate) applied: Applied,
    /// One for each proposal.
    pub(crate) outcomes: Vec<Outcome>,
}
