//! The task that writes a worker's partitions to the database.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, select_biased};
use grid_core::partition::Unstored;
use grid_core::traits::{Epoch, Journal, Persistence, Position, Runtime, StateRecord};
use grid_core::{PartitionId, Result, Sequence};
use tokio::sync::Notify;

use super::backoff::Backoff;
use crate::config::Settings;
use crate::identity::Identity;
use crate::lifecycle::{Lifecycle, Phase};
use crate::partition_service::Shard;

/// Tries of the last flush, at a shutdown. What it cannot write is in the journal.
const LAST_TRIES: usize = 3;

/// Writes a worker's partitions to the database, and lets the journal forget what it wrote.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) shard: Arc<Shard>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) persistence: Arc<dyn Persistence>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Arc<Settings>,
    /// Woken when much has gathered.
    pub(crate) wake: Arc<Notify>,
    pub(crate) lifecycle: Lifecycle,
}

/// A flush of one partition, as of one point in its order.
struct Plan {
    /// The ownership under which it was made.
    epoch: Epoch,
    /// What the database has.
    before: StateRecord,
    /// What it will have.
    after: StateRecord,
    position: Position,
    /// Up to where it may forget tombstones.
    collect: Option<Sequence>,
}

impl Flusher {
    /// Flushes from time to time until the server ends; whatever was acknowledged when it drained
    /// is written then.
    pub(crate) async fn run(self) {
        let lifecycle = self.lifecycle.clone();
        let drained = lifecycle.reached(Phase::Drained).fuse();
        futures::pin_mut!(drained);
        let mut backoff = Backoff::default();
        let mut wait = Duration::from_millis(self.settings.flush_interval_ms);
        loop {
            // After a failure nothing wakes it early: the database needs the time.
            let wake = async {
                if wait > Duration::from_millis(self.settings.flush_interval_ms) {
                    futures::future::pending::<()>().await;
                }
                self.wake.notified().await;
            };
            select_biased! {
                () = drained => break,
                () = wake.fuse() => {}
                () = self.runtime.sleep(wait).fuse() => {}
            }
            wait = match self.flush().await {
                Ok(()) => {
                    backoff.succeeded();
                    Duration::from_millis(self.settings.flush_interval_ms)
                }
                Err(error) => {
                    let wait = backoff.failed(self.runtime.random());
                    tracing::warn!(%error, ?wait, "the database takes no changes; trying again");
                    wait.max(Duration::from_millis(self.settings.flush_interval_ms + 1))
                }
            };
        }
        if self.lifecycle.has_reached(Phase::Over) {
            return;
        }
        for _ in 0..LAST_TRIES {
            match self.flush().await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the last flush failed"),
            }
        }
        tracing::error!("the journal keeps what the database did not take");
    }

    /// Flushes every partition that needs it. The failure of one does not keep others back.
    pub(crate) async fn flush(&self) -> Result<()> {
        let partitions: Vec<PartitionId> = self.shard.lock().keys().copied().collect();
        let mut outcome = Ok(());
        let mut flushed = false;
        for partition in partitions {
            if let Some(plan) = self.plan(partition) {
                flushed = true;
                outcome = outcome.and(self.flush_one(partition, plan).await);
            }
        }
        if flushed && self.stores_for_good() {
            outcome = outcome.and(self.identity.move_on().await);
        }
        outcome
    }

    /// Whether the journal may forget what was stored: it promised to survive a power cut.
    fn stores_for_good(&self) -> bool {
        self.persistence.capabilities().survives_power_loss
    }

    fn plan(&self, partition: PartitionId) -> Option<Plan> {
        let partitions = self.shard.lock();
        let owned = partitions.get(&partition)?;
        if owned.tail == owned.stored_position {
            return None;
        }
        let horizon = owned.partition.horizon();
        Some(Plan {
            epoch: owned.epoch,
            before: owned.stored.clone(),
            after: owned.partition.save(owned.tail),
            position: owned.tail,
            collect: (horizon > owned.collected).then_some(horizon),
        })
    }

    async fn flush_one(&self, partition: PartitionId, plan: Plan) -> Result<()> {
        let until = plan.after.sequence;
        let mut at = plan.before.sequence;
        loop {
            let Some(part) = self.unstored(partition, &plan, at) else {
                // It has another owner by now, who stores what is left.
                return Ok(());
            };
            at = part.through;
            // The state record may lag the records, never lead them: so it goes with the last.
            let state = if at == until {
                &plan.after
            } else {
                &plan.before
            };
            self.persistence
                .store(partition, &part.records, state)
                .await?;
            if at == until {
                break;
            }
        }
        if let Some(horizon) = plan.collect {
            self.persistence.collect(partition, horizon).await?;
        }
        self.stored(partition, &plan);
        if self.stores_for_good() {
            self.journal.truncate(partition, plan.position).await?;
        }
        Ok(())
    }

    fn unstored(&self, partition: PartitionId, plan: &Plan, at: Sequence) -> Option<Unstored> {
        let limit = self.settings.flush_records;
        let partitions = self.shard.lock();
        let owned = partitions.get(&partition)?;
        (owned.epoch == plan.epoch)
            .then(|| owned.partition.unstored(at, plan.after.sequence, limit))
    }

    fn stored(&self, partition: PartitionId, plan: &Plan) {
        if let Some(owned) = self.shard.lock().get_mut(&partition)
            && owned.epoch == plan.epoch
        {
            owned.stored = plan.after.clone();
            owned.stored_position = plan.position;
            if let Some(horizon) = plan.collect {
                owned.collected = horizon;
            }
        }
    }
}
