//! The layer.

use std::sync::Arc;

use tower::Layer;

use super::service::EpochGuard;
use crate::ownership_table::OwnershipTable;

/// Refuses batches of partitions that this node does not own at their epoch.
#[derive(Debug, Clone)]
pub(crate) struct EpochGuardLayer {
    table: Arc<OwnershipTable>,
}

impl EpochGuardLayer {
    pub(crate) fn new(table: Arc<OwnershipTable>) -> Self {
        Self { table }
    }
}

impl<S> Layer<S> for EpochGuardLayer {
    type Service = EpochGuard<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EpochGuard::new(inner, self.table.clone())
    }
}
