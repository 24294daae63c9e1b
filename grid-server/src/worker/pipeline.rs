//! The layers between a worker and its partitions.

use std::convert::Infallible;
use std::sync::Arc;

use grid_core::traits::Policy;
use tower::Layer;
use tower::util::BoxService;

use crate::layer::epoch_guard::EpochGuardLayer;
use crate::layer::policy::WritePolicyLayer;
use crate::ownership_table::OwnershipTable;
use crate::partition_service::{PartResult, PartitionService, WorkBatch};

/// A worker's way to its partitions.
pub(crate) type PartitionPipeline = BoxService<WorkBatch, Vec<PartResult>, Infallible>;

/// Epoch guard → write policy → partition service.
pub(crate) fn partition_pipeline(
    service: PartitionService,
    policy: Arc<dyn Policy>,
    table: Arc<OwnershipTable>,
) -> PartitionPipeline {
    let service = WritePolicyLayer::new(policy).layer(service);
    BoxService::new(EpochGuardLayer::new(table).layer(service))
}
