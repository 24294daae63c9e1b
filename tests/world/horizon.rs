//! A system of record that tells how far tombstones were forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, StateRecord,
};
use grid_core::{PartitionId, Result, Sequence};
use tokio::sync::watch;

/// Passes everything on, and remembers the horizon of each partition.
#[derive(Debug)]
pub(crate) struct Horizons {
    inner: Arc<dyn Persistence>,
    collected: watch::Sender<BTreeMap<PartitionId, Sequence>>,
}

impl Horizons {
    pub(crate) fn new(inner: Arc<dyn Persistence>) -> Self {
        Self {
            inner,
            collected: watch::Sender::new(BTreeMap::new()),
        }
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
impl Persistence for Horizons {
    fn capabilities(&self) -> PersistenceCapabilities {
        self.inner.capabilities()
    }

    async fn load(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        self.inner.load(partition, after, limit).await
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        self.inner.load_state(partition).await
    }

    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        self.inner.store(partition, records, state).await
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        self.inner.collect(partition, horizon).await?;
        self.collected.send_modify(|collected| {
            collected.insert(partition, horizon);
        });
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
