//! Following the ownership table: what this node becomes the owner of is loaded, fenced and served,
//! and what it loses is served no longer.

use std::sync::Arc;

use futures::{FutureExt, select_biased};
use grid_core::partition::{Effects, PartitionConfig, TableSeed};
use grid_core::traits::{Append, Epoch, Journal, OwnershipWatch, Persistence, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};

use crate::data_set::DataSet;
use crate::lifecycle::{Lifecycle, Phase};
use crate::ownership_table::OwnershipTable;
use crate::partition_service::Owned;
use crate::recovery::{recover, replay};
use crate::worker::{Mailboxes, WorkerMessage};
use crate::write_behind::Backoff;

/// How often an epoch record is appended again because others have written meanwhile.
const MAX_FENCE_TRIES: usize = 64;

/// What brings a partition to this node.
#[derive(Debug, Clone)]
pub(crate) struct Takeover {
    pub(crate) table: Arc<OwnershipTable>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) persistence: Arc<dyn Persistence>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) data_set: DataSet,
    pub(crate) seed: TableSeed,
    /// Whether other nodes may own partitions; else there is nobody to fence.
    pub(crate) has_peers: bool,
}

impl Takeover {
    /// Loads `partition` and fences its former owners; none when a later owner has written
    /// already.
    ///
    /// # Errors
    /// As those of the journal and the persistence; `Corrupt` when the two do not fit together.
    pub(crate) async fn load(&self, partition: PartitionId, epoch: Epoch) -> Result<Option<Owned>> {
        let config = PartitionConfig {
            id: partition,
            history: self.data_set.history,
            digest_key: self.data_set.digest_key,
            seed: self.seed,
        };
        let mut owned = recover(config, &self.journal, &self.persistence).await?;
        let later = match owned.epoch {
            written if written > epoch => Some(written),
            _ if self.has_peers => fence(&mut owned, &self.journal, epoch).await?,
            _ => None,
        };
        if let Some(later) = later {
            self.table.outdone(partition, later);
            return Ok(None);
        }
        owned.epoch = epoch;
        Ok(Some(owned))
    }

    /// Follows the ownership table, and takes over what this node becomes the owner of, until the
    /// server ends.
    pub(crate) fn start(
        self,
        watch: Box<dyn OwnershipWatch>,
        mailboxes: &Mailboxes,
        life: &Lifecycle,
    ) {
        let runtime = self.runtime.clone();
        let following = follow(watch, self.table.clone(), mailboxes.clone(), life.clone());
        runtime.spawn("ownership", Box::pin(following));
        let taking = self.take(mailboxes.clone(), life.clone());
        runtime.spawn("takeover", Box::pin(taking));
    }

    async fn take(self, mailboxes: Mailboxes, lifecycle: Lifecycle) {
        let draining = lifecycle.reached(Phase::Draining).fuse();
        futures::pin_mut!(draining);
        select_biased! {
            () = draining => {}
            () = self.take_all(&mailboxes).fuse() => {}
        }
    }

    async fn take_all(&self, mailboxes: &Mailboxes) {
        let mut backoff = Backoff::default();
        loop {
            let mut failed = false;
            for (partition, epoch) in self.table.wanted() {
                match self.load(partition, epoch).await {
                    Ok(None) => {}
                    Ok(Some(owned)) => {
                        let worker = mailboxes.worker_of(partition);
                        let begin = WorkerMessage::Begin(Box::new(owned));
                        if mailboxes.send(worker, begin).await.is_err() {
                            // The server is ending.
                            return;
                        }
                        // Requests that are let in from here on come after it.
                        self.table.serve(partition, epoch);
                    }
                    Err(error) => {
                        tracing::warn!(%partition, %error, "a partition cannot be taken over yet");
                        failed = true;
                    }
                }
            }
            if failed {
                let wait = backoff.failed(self.runtime.random());
                self.runtime.sleep(wait).await;
            } else {
                backoff.succeeded();
                self.table.wants().await;
            }
        }
    }
}

/// Appends an epoch record after the last batch of the journal, and applies what stands before it.
/// Returns the epoch of a later owner if one has written.
///
/// # Errors
/// As the journal's; `Unavailable` when others write all the time.
async fn fence(
    owned: &mut Owned,
    journal: &Arc<dyn Journal>,
    epoch: Epoch,
) -> Result<Option<Epoch>> {
    let partition = owned.partition.id();
    for _ in 0..MAX_FENCE_TRIES {
        let written = journal.extent(partition).await?.epoch;
        if written > epoch {
            return Ok(Some(written));
        }
        // A record of which was not known whether it was written may be there.
        let last = replay(&mut owned.partition, &mut owned.tail, journal).await?;
        if last == Some(epoch) {
            return Ok(None);
        }
        let record = owned.partition.begin_epoch();
        match append(journal, owned, epoch, &record).await {
            Ok(position) => {
                owned.partition.apply(&record)?;
                owned.tail = position;
                return Ok(None);
            }
            // A former owner has written meanwhile, or the outcome is not known: read on.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Timeout) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        "take partition over",
        "its former owner writes all the time",
    )
    .with("partition", partition))
}

async fn append(
    journal: &Arc<dyn Journal>,
    owned: &Owned,
    epoch: Epoch,
    record: &Effects,
) -> Result<grid_core::traits::Position> {
    let append = Append {
        partition: owned.partition.id(),
        epoch,
        tail: owned.tail,
        batch: record.encode(),
    };
    let written = journal.append(vec![append]).await.into_iter().next();
    written.unwrap_or_else(|| {
        Err(Error::new(
            ErrorKind::Internal,
            "take partition over",
            "the journal gave no answer about an epoch record",
        ))
    })
}

/// Keeps `table` level with the ownership table, until the server's life is over, and tells workers
/// what they have lost.
async fn follow(
    mut watch: Box<dyn OwnershipWatch>,
    table: Arc<OwnershipTable>,
    mailboxes: Mailboxes,
    lifecycle: Lifecycle,
) {
    let over = lifecycle.reached(Phase::Over).fuse();
    futures::pin_mut!(over);
    loop {
        let next = select_biased! {
            () = over => return,
            next = watch.next().fuse() => next,
        };
        let (partition, owner) = match next {
            Ok(change) => change,
            Err(error) => {
                tracing::error!(%error, "the ownership table is no longer followed");
                return;
            }
        };
        let Some(epoch) = table.changed(partition, &owner) else {
            continue;
        };
        tracing::info!(%partition, owner = owner.node, "a partition has another owner");
        let worker = mailboxes.worker_of(partition);
        let cease = WorkerMessage::Cease(partition, epoch);
        if mailboxes.send(worker, cease).await.is_err() {
            // The server is ending.
            return;
        }
    }
}
