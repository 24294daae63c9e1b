//! The layers between a worker and its partitions.

use std::convert::Infallible;
use std::sync::Arc;

use grid_core::traits::Policy;
use tower::ServiceBuilder;
use tower::util::BoxService;

use super::subscribers::SharedSubscribers;
use super::task::WorkerContext;
use crate::layer::epoch_guard::EpochGuardLayer;
use crate::layer::policy::WritePolicyLayer;
use crate::layer::publish::PublishLayer;
use crate::partition_service::{PartResult, PartitionService, WorkBatch};

/// A worker's way to its partitions.
pub(crate) type PartitionPipeline = BoxService<WorkBatch, Vec<PartResult>, Infallible>;

/// What a worker's batch passes on its way to the partition service.
pub(crate) fn partition_pipeline(
    context: &WorkerContext,
    policy: Arc<dyn Policy>,
    subscribers: SharedSubscribers,
    service: PartitionService,
) -> PartitionPipeline {
    let (shard, codecs) = (context.shard.clone(), context.codecs.clone());
    BoxService::new(
        ServiceBuilder::new()
            .layer(EpochGuardLayer::new(context.table.clone()))
            .layer(WritePolicyLayer::new(policy))
            .layer(PublishLayer::new(
                context.number,
                shard,
                subscribers,
                codecs,
            ))
            .service(service),
    )
}
