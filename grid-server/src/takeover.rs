//! Following the ownership table: what this node becomes the owner of is loaded, fenced and served,
//! and what it loses is served no longer.

use std::sync::Arc;

use futures::{FutureExt, select_biased};
use grid_core::partition::{Effects, PartitionConfig, TableSeed};
use grid_core::traits::{Append, Epoch, Journal, OwnershipWatch, Persistence, Position, Runtime};
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
                        if self.hand_over(owned, epoch, mailboxes).await.is_err() {
                            // The server is ending.
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%partition, %error, "a partition cannot be taken over yet");
                        failed = true;
                    }
                }
            }
            if failed {
                // What is wanted meanwhile does not wait for what fails.
                let wait = backoff.failed(self.runtime.random());
                select_biased! {
                    () = Box::pin(self.table.wants()).fuse() => {}
                    () = self.runtime.sleep(wait).fuse() => {}
                }
            } else {
                backoff.succeeded();
                self.table.wants().await;
            }
        }
    }

    /// Gives a loaded partition to its worker, and lets requests in if it is still to be served.
    ///
    /// # Errors
    /// `Closed` when the server is ending.
    async fn hand_over(&self, owned: Owned, epoch: Epoch, mailboxes: &Mailboxes) -> Result<()> {
        let partition = owned.partition.id();
        let worker = mailboxes.worker_of(partition);
        let begin = WorkerMessage::Begin(Box::new(owned));
        mailboxes.send(worker, begin).await?;
        if !self.table.serve(partition, epoch) {
            // Lost while it was loaded: nobody else tells the worker, for it was not served yet.
            let cease = WorkerMessage::Cease(partition, epoch);
            mailboxes.send(worker, cease).await?;
        }
        Ok(())
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
) -> Result<Position> {
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

#[cfg(test)]
mod tests {
    use grid_core::traits::Owner;
    use grid_core::{DigestKey, History};
    use grid_runtime_tokio::TokioRuntime;
    use grid_storage_memory::MemoryPersistence;
    use tokio::sync::mpsc;

    use super::*;
    use crate::memory_journal::MemoryJournal;

    const ID: PartitionId = PartitionId(1);

    fn takeover() -> Takeover {
        Takeover {
            table: Arc::new(OwnershipTable::new("here".to_owned(), 3)),
            journal: Arc::new(MemoryJournal::new()),
            persistence: Arc::new(MemoryPersistence::new()),
            runtime: Arc::new(TokioRuntime::current().unwrap()),
            data_set: DataSet {
                history: History(1),
                digest_key: DigestKey(1),
                partition_count: 3,
                map_spread: 1,
            },
            seed: TableSeed(1, 2),
            has_peers: true,
        }
    }

    fn owner(node: &str, epoch: u64) -> Owner {
        Owner {
            node: node.to_owned(),
            epoch: Epoch(epoch),
        }
    }

    #[tokio::test]
    async fn what_a_later_owner_has_written_to_is_not_taken_over() {
        let takeover = takeover();
        takeover.table.changed(ID, &owner("here", 4));
        let loaded = takeover.load(ID, Epoch(4)).await.unwrap();
        assert!(loaded.is_some());
        // Who heard of its ownership late finds what the later owner has written.
        let stale = Takeover {
            table: Arc::new(OwnershipTable::new("here".to_owned(), 3)),
            ..takeover
        };
        stale.table.changed(ID, &owner("here", 2));
        assert!(stale.load(ID, Epoch(2)).await.unwrap().is_none());
        assert_eq!(stale.table.wanted(), []);
        let written = stale.journal.extent(ID).await.unwrap();
        assert_eq!((written.epoch, written.tail), (Epoch(4), Position(1)));
    }

    #[tokio::test]
    async fn what_was_lost_while_it_was_loaded_is_run_no_longer() {
        let takeover = takeover();
        let (sender, mut mailbox) = mpsc::channel(4);
        let mailboxes = Mailboxes::new(vec![sender]);
        takeover.table.changed(ID, &owner("here", 2));
        let owned = takeover.load(ID, Epoch(2)).await.unwrap().unwrap();
        assert_eq!(takeover.table.changed(ID, &owner("there", 3)), None);
        takeover
            .hand_over(owned, Epoch(2), &mailboxes)
            .await
            .unwrap();
        assert!(matches!(mailbox.try_recv(), Ok(WorkerMessage::Begin(_))));
        let next = mailbox.try_recv();
        assert!(
            matches!(next, Ok(WorkerMessage::Cease(ID, Epoch(2)))),
            "{next:?}"
        );

        takeover.table.changed(ID, &owner("here", 4));
        let owned = takeover.load(ID, Epoch(4)).await.unwrap().unwrap();
        takeover
            .hand_over(owned, Epoch(4), &mailboxes)
            .await
            .unwrap();
        assert!(matches!(mailbox.try_recv(), Ok(WorkerMessage::Begin(_))));
        assert!(mailbox.try_recv().is_err());
        assert_eq!(takeover.table.epoch(ID), Some(Epoch(4)));
    }
}
