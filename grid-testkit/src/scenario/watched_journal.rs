//! Sees what a journal has for certain.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::partition::Effects;
use grid_core::traits::{AddressedRecord, Append, Journal, JournalEntry, Position};
use grid_core::{PartitionId, Result, Sequence};

use super::event::{Event, EventLog};
use crate::hooks::JournalHooks;
use crate::sim::PartyId;

/// Tells of every batch that is known to be in a server's journal: it was written, or read.
#[derive(Debug)]
pub(super) struct WatchedJournal {
    pub(super) server: PartyId,
    /// Partitions of records; those above are the servers' own.
    pub(super) partitions: u16,
    pub(super) events: EventLog,
}

impl WatchedJournal {
    fn durable(&self, partition: PartitionId, batch: &Bytes) {
        if partition.0 >= self.partitions {
            return;
        }
        let Ok(effects) = Effects::decode(batch) else {
            return;
        };
        let records = effects.records().map(|(address, record)| AddressedRecord {
            address: address.clone(),
            record: record.clone(),
        });
        let records: Arc<[AddressedRecord]> = records.collect();
        let through = effects.sequence_after();
        let taken = records.len() as u64 + u64::from(effects.begins_epoch());
        self.events.emit(Event::Durable {
            server: self.server,
            partition,
            after: Sequence(through.0.saturating_sub(taken)),
            through,
            records,
        });
    }
}

#[async_trait]
impl JournalHooks for WatchedJournal {
    async fn append(&self, inner: &dyn Journal, appends: Vec<Append>) -> Vec<Result<Position>> {
        let batches: Vec<(PartitionId, Bytes)> = appends
            .iter()
            .map(|append| (append.partition, append.batch.clone()))
            .collect();
        let written = inner.append(appends).await;
        for ((partition, batch), written) in batches.iter().zip(&written) {
            if written.is_ok() {
                self.durable(*partition, batch);
            }
        }
        written
    }

    async fn read(
        &self,
        inner: &dyn Journal,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        let entries = inner.read(partition, after, max_bytes).await?;
        for entry in &entries {
            self.durable(partition, &entry.batch);
        }
        Ok(entries)
    }
}
