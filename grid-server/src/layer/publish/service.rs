//! The service.

use std::task::{Context, Poll};

use grid_core::BoxFuture;
use grid_core::maybe_send::MaybeSend;
use tower::Service;

use super::layer::PublishLayer;
use crate::partition_service::{PartResult, WorkBatch};
use crate::worker::fan_out;

/// Hands work on, and tells what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Publish<S> {
    inner: S,
    to: PublishLayer,
}

impl<S> Publish<S> {
    pub(super) fn new(inner: S, to: PublishLayer) -> Self {
        Self { inner, to }
    }
}

impl PublishLayer {
    fn publish(&self, results: &[PartResult]) {
        let partitions = self.shard.lock();
        let mut subscribers = self.subscribers.lock();
        for part in results {
            let Some(owned) = partitions.get(&part.partition) else {
                continue;
            };
            // After a late batch nothing else was committed, so each is told at its own sequence.
            for committed in part.late.iter().chain(&part.result) {
                let partition = &owned.partition;
                fan_out(
                    self.worker,
                    &mut subscribers,
                    partition,
                    committed,
                    &self.codecs,
                );
            }
        }
    }
}

impl<S> Service<WorkBatch> for Publish<S>
where
    S: Service<WorkBatch, Response = Vec<PartResult>>,
    S::Future: MaybeSend + 'static,
    S::Error: 'static,
{
    type Response = Vec<PartResult>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Vec<PartResult>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, batch: WorkBatch) -> Self::Future {
        let committed = self.inner.call(batch);
        let to = self.to.clone();
        Box::pin(async move {
            let results = committed.await?;
            to.publish(&results);
            Ok(results)
        })
    }
}
