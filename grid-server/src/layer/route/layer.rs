//! The layer.

use std::sync::Arc;

use grid_core::address::Placement;
use grid_core::{Key, MapAddress, PartitionId, Result};
use tower::Layer;

use super::error::not_owned;
use super::service::Route;
use crate::ownership_table::OwnershipTable;

/// Where the keys of maps are.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    table: Arc<OwnershipTable>,
    spread: u16,
    count: u16,
}

impl Router {
    pub(crate) fn new(table: Arc<OwnershipTable>, spread: u16, count: u16) -> Self {
        Self {
            table,
            spread,
            count,
        }
    }

    pub(crate) fn spread(&self) -> u16 {
        self.spread.min(self.count)
    }

    pub(crate) fn placement(&self, address: &MapAddress) -> Placement {
        Placement::new(address, self.spread, self.count)
    }

    /// Where `key` is.
    pub(crate) fn locate(&self, address: &MapAddress, key: &Key) -> PartitionId {
        self.placement(address).partition(key)
    }

    /// Makes sure that this node owns `partition`.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub(crate) fn check(&self, partition: PartitionId) -> Result<()> {
        if self.table.epoch(partition).is_some() {
            return Ok(());
        }
        Err(not_owned(partition))
    }
}

/// Finds out which partitions a request concerns.
#[derive(Debug, Clone)]
pub(crate) struct RouteLayer {
    router: Router,
}

impl RouteLayer {
    pub(crate) fn new(router: Router) -> Self {
        Self { router }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Route::new(inner, self.router.clone())
    }
}
