//! A system of record that tells how far tombstones were forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::Persistence;
use grid_core::{PartitionId, Result, Sequence};
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};
use tokio::sync::watch;

/// Remembers the horizon of each partition.
#[derive(Debug)]
pub(crate) struct Horizons {
    collected: watch::Sender<BTreeMap<PartitionId, Sequence>>,
}

impl Horizons {
    /// `inner`, with a look at its horizons.
    pub(crate) fn of(inner: Arc<dyn Persistence>) -> Arc<HookedPersistence<Self>> {
        let collected = watch::Sender::new(BTreeMap::new());
        Arc::new(HookedPersistence::new(inner, Self { collected }))
    }

    /// Waits until the server has forgotten the tombstones up to more than these sequences, so
    /// that a device that stands there cannot be told what it missed.
    pub(crate) async fn passed(&self, cursor: &[(PartitionId, Sequence)]) {
        let mut collected = self.collected.subscribe();
        let passed = collected.wait_for(|collected| {
            cursor
                .iter()
                .all(|(partition, at)| collected.get(partition).is_some_and(|now| now > at))
        });
        let what = "forgetting of tombstones";
        drop(super::soon(what, passed).await.unwrap());
    }
}

#[async_trait]
impl PersistenceHooks for Horizons {
    async fn collect(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        horizon: Sequence,
    ) -> Result<()> {
        inner.collect(partition, horizon).await?;
        self.collected.send_modify(|collected| {
            collected.insert(partition, horizon);
        });
        Ok(())
    }
}
