//! The service.

use std::sync::Arc;
use std::task::{Context, Poll};

use grid_core::mutation::{Mutation, planted};
use tower::Service;

use super::error::stale;
use crate::ownership_table::OwnershipTable;
use crate::partition_service::WorkBatch;

/// Marks what must not be decided here.
#[derive(Debug, Clone)]
pub(crate) struct EpochGuard<S> {
    inner: S,
    table: Arc<OwnershipTable>,
}

impl<S> EpochGuard<S> {
    pub(super) fn new(inner: S, table: Arc<OwnershipTable>) -> Self {
        Self { inner, table }
    }
}

impl<S: Service<WorkBatch>> Service<WorkBatch> for EpochGuard<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut batch: WorkBatch) -> Self::Future {
        for part in &mut batch.parts {
            let owned = self.table.epoch(part.partition);
            let is_stale = owned != Some(part.epoch) && !planted(Mutation::AcceptStaleEpoch);
            if part.refusal.is_none() && is_stale {
                part.refusal = Some(stale(part.partition));
            }
        }
        self.inner.call(batch)
    }
}
