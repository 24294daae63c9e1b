//! The partition service: a tower `Service` over a batch that decides, journals and applies.

mod batch;
mod reconcile;
mod service;
mod shard;

pub(crate) use batch::{Committed, Early, PartResult, PartWork, Work, WorkBatch};
pub(crate) use reconcile::fenced;
pub(crate) use service::{PartitionService, not_here};
pub(crate) use shard::{Owned, Partitions, Shard};
