//! The layer.

use std::sync::Arc;
use std::time::Duration;

use grid_core::address::Placement;
use grid_core::{Error, ErrorKind, Key, MapAddress, PartitionId, Result};
use tower::Layer;

use super::error::{not_loaded, not_owned, partly_owned};
use super::service::Route;
use crate::config::Settings;
use crate::observations::Observations;
use crate::ownership_table::OwnershipTable;

/// Where the keys of maps are.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    table: Arc<OwnershipTable>,
    observations: Arc<Observations>,
    spread: u16,
    count: u16,
}

impl Router {
    pub(crate) fn new(
        table: Arc<OwnershipTable>,
        observations: Arc<Observations>,
        settings: &Settings,
    ) -> Self {
        Self {
            table,
            observations,
            spread: settings.map_spread,
            count: settings.partition_count,
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

    /// Makes sure that this node serves `partition`.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub(crate) fn check(&self, partition: PartitionId) -> Result<()> {
        if self.table.epoch(partition).is_some() {
            return Ok(());
        }
        Err(if self.table.is_wanted(partition) {
            not_loaded(partition, &self.observations)
        } else {
            not_owned(partition)
        })
    }

    /// Makes sure that this node owns `partition`, be it served or still to be loaded.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub(super) fn check_owned(&self, partition: PartitionId) -> Result<()> {
        if self.table.is_owned(partition) {
            return Ok(());
        }
        Err(not_owned(partition))
    }

    /// Why ops for `partition` are put off; none when this node serves it.
    ///
    /// # Errors
    /// `Unavailable` when this node does not own it.
    pub(super) fn waits(&self, partition: PartitionId) -> Result<Option<Error>> {
        match self.check(partition) {
            // Asked last: what was lost or loaded meanwhile is only put off once too often.
            Err(error) if self.table.is_owned(partition) => Ok(Some(error)),
            served => served.map(|()| None),
        }
    }

    /// Why a read of all of `partitions` is refused; none when this node serves them. Where several
    /// nodes own them no other one can answer either, so the client is not sent away.
    ///
    /// # Errors
    /// `Unavailable` when this node owns none of them.
    pub(super) fn lacks(&self, partitions: &[PartitionId]) -> Result<Option<Error>> {
        let mut waits = None;
        let mut elsewhere = Vec::new();
        for partition in partitions {
            match self.waits(*partition) {
                Ok(why) => waits = waits.or(why),
                Err(error) => elsewhere.push((*partition, error)),
            }
        }
        let owned = partitions.len() - elsewhere.len();
        match elsewhere.pop() {
            Some((_, error)) if owned == 0 => Err(error),
            Some((partition, _)) => Ok(Some(partly_owned(partition))),
            None => Ok(waits),
        }
    }

    #[cfg(test)]
    pub(super) fn observations(&self) -> &Observations {
        &self.observations
    }

    /// Counts ops that are put off because their partition is not served.
    pub(super) fn count_deferred(&self, ops: usize) {
        let kind = ErrorKind::Unavailable;
        self.observations
            .count(|counts| counts.add_deferred(kind, ops as u64));
    }
}

/// Finds out which partitions a request concerns.
#[derive(Debug, Clone)]
pub(crate) struct RouteLayer {
    router: Router,
    retry_after: Duration,
}

impl RouteLayer {
    /// What cannot be handed on yet comes again after `retry_after`.
    pub(crate) fn new(router: Router, retry_after: Duration) -> Self {
        Self {
            router,
            retry_after,
        }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Route::new(inner, self.router.clone(), self.retry_after)
    }
}
