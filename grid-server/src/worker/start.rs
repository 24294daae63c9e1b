//! Starting the workers, and the tasks that write behind them.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::message::Mailboxes;
use super::task::{Worker, WorkerContext};
use crate::admin::Desk;
use crate::builder::Parts;
use crate::data_set::DataSet;
use crate::identity::Identity;
use crate::lifecycle::Lifecycle;
use crate::observations::Observations;
use crate::ownership_table::OwnershipTable;
use crate::partition_service::{PartitionService, Partitions, Shard};
use crate::write_behind::{BacklogBound, Engine, Store};

/// What runs the partitions, as the rest of the server sees it.
pub(crate) struct Workers {
    pub(crate) mailboxes: Mailboxes,
    pub(crate) desks: Vec<Desk>,
    /// Closes when every task of write-behind is done.
    pub(crate) flushers: mpsc::Receiver<()>,
}

/// Starts one worker and one task of write-behind for each shard.
pub(crate) fn start(
    parts: &Parts,
    data_set: DataSet,
    shards: Vec<Partitions>,
    table: &Arc<OwnershipTable>,
    observations: &Arc<Observations>,
    life: &Lifecycle,
) -> Workers {
    let (flushing, flushers) = mpsc::channel(1);
    let (journal, runtime) = (parts.journal.clone(), parts.runtime.clone());
    let identity = Arc::new(Identity::new(data_set, journal, runtime));
    let mut senders = Vec::with_capacity(shards.len());
    let mut desks = Vec::with_capacity(shards.len());
    for (number, partitions) in shards.into_iter().enumerate() {
        let (sender, mailbox) = mpsc::channel(parts.settings.mailbox_messages);
        senders.push(sender);
        let shard = Arc::new(Shard::new(partitions));
        let wake = Arc::new(Notify::new());
        let stored = Arc::new(Notify::new());
        let service = PartitionService::new(
            shard.clone(),
            parts.journal.clone(),
            parts.runtime.clone(),
            parts.rules.clone(),
            BacklogBound::new(&parts.settings),
        );
        let context = WorkerContext {
            number,
            runtime: parts.runtime.clone(),
            settings: parts.settings.clone(),
            codecs: parts.codecs.clone(),
            shard: shard.clone(),
            journal: parts.journal.clone(),
            table: table.clone(),
            flush: wake.clone(),
            stored: stored.clone(),
            observations: observations.clone(),
            lifecycle: life.clone(),
        };
        let worker = Worker::new(context, mailbox, parts.policy.clone(), service);
        spawn(parts, life, "worker", worker.run());
        let (retry, retries) = mpsc::channel(1);
        desks.push(Desk {
            shard: shard.clone(),
            retries: retry,
        });
        let store = Store {
            shard,
            journal: parts.journal.clone(),
            persistence: parts.persistence.clone(),
            history: data_set.history,
            runtime: parts.runtime.clone(),
            settings: parts.settings.clone(),
            stored,
            observations: observations.clone(),
        };
        let engine = Engine::new(number, store, identity.clone(), wake, retries, life.clone());
        let flushing = flushing.clone();
        let flush = async move {
            engine.run().await;
            drop(flushing);
        };
        spawn(parts, life, "write-behind", flush);
    }
    Workers {
        mailboxes: Mailboxes::new(senders),
        desks,
        flushers,
    }
}

/// Spawns a task without which the server cannot be.
fn spawn(
    parts: &Parts,
    life: &Lifecycle,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let vital = life.depends_on(name);
    let task = async move {
        task.await;
        vital.done();
    };
    parts.runtime.spawn(name, Box::pin(task));
}
