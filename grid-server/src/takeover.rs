//! Taking partitions over: what this node becomes the owner of is loaded, fenced and served.

mod unsettled;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, select_biased};
use grid_core::partition::{Effects, PartitionConfig, TableSeed};
use grid_core::traits::{Append, Epoch, Journal, Persistence, Position, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};

use crate::config::Settings;
use crate::data_set::DataSet;
use crate::lifecycle::{Lifecycle, Phase};
use crate::observations::{Observations, Source};
use crate::ownership_table::OwnershipTable;
use crate::partition_service::Owned;
use crate::recovery::{recover, replay_journal};
use crate::worker::{Mailboxes, WorkerMessage};
use crate::write_behind::Backoff;

pub(crate) use unsettled::Unsettled;

/// How often an epoch record is appended again because others have written meanwhile.
const MAX_FENCE_TRIES: usize = 64;
/// How often a partition is loaded again because a former owner has stored and truncated meanwhile.
const MAX_LOADS: usize = 16;

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
    pub(crate) observations: Arc<Observations>,
    pub(crate) settings: Arc<Settings>,
}

impl Takeover {
    /// Loads `partition` and fences its former owners; none when a later owner has written
    /// already.
    ///
    /// # Errors
    /// As those of the journal and the persistence; `Diverged` when the two do not fit together,
    /// `Unavailable` when a former owner stores all the time.
    pub(crate) async fn load(&self, partition: PartitionId, epoch: Epoch) -> Result<Option<Owned>> {
        let config = self.config(partition);
        let now = self.runtime.monotonic();
        for _ in 0..MAX_LOADS {
            let owned = recover(config, &self.journal, &self.persistence, now).await?;
            match self.claim(owned, epoch).await {
                // A former owner has stored and truncated since the database was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                claimed => return claimed,
            }
        }
        Err(busy(partition, "its former owner stores all the time"))
    }

    fn config(&self, partition: PartitionId) -> PartitionConfig {
        PartitionConfig {
            id: partition,
            history: self.data_set.history,
            digest_key: self.data_set.digest_key,
            seed: self.seed,
        }
    }

    /// Makes what was loaded this node's as of `epoch`; none when a later owner has written
    /// already.
    ///
    /// # Errors
    /// As the journal's, of which `NotFound` says that a former owner has truncated what was not
    /// read yet.
    async fn claim(&self, mut owned: Owned, epoch: Epoch) -> Result<Option<Owned>> {
        let later = match owned.epoch {
            written if written > epoch => Some(written),
            _ if self.has_peers => {
                let now = self.runtime.monotonic();
                fence(&mut owned, &self.journal, epoch, now).await?
            }
            _ => None,
        };
        if let Some(later) = later {
            self.table.outdone(owned.partition.id(), later);
            return Ok(None);
        }
        owned.epoch = epoch;
        Ok(Some(owned))
    }

    /// Takes over what this node becomes the owner of, until the server ends; first of all what a
    /// start without the database has left.
    pub(crate) fn start(self, left: Option<Unsettled>, mailboxes: &Mailboxes, life: &Lifecycle) {
        let runtime = self.runtime.clone();
        let vital = life.depends_on("takeover");
        let taking = self.take(left, mailboxes.clone(), life.clone());
        let task = async move {
            taking.await;
            vital.done();
        };
        runtime.spawn("takeover", Box::pin(task));
    }

    async fn take(self, left: Option<Unsettled>, mailboxes: Mailboxes, lifecycle: Lifecycle) {
        let draining = lifecycle.reached(Phase::Draining).fuse();
        futures::pin_mut!(draining);
        let taken = select_biased! {
            () = draining => return,
            taken = self.take_all(left, &mailboxes).fuse() => taken,
        };
        if let Err(error) = taken
            // It is ending already.
            && error.kind() != ErrorKind::Closed
        {
            lifecycle.fail(format_args!("the start cannot be completed ({error})"));
        }
    }

    /// # Errors
    /// `Closed` when the server is ending; others when what a start without the database has left
    /// cannot be: they would have kept it from starting.
    async fn take_all(&self, mut left: Option<Unsettled>, mailboxes: &Mailboxes) -> Result<()> {
        let mut backoff = Backoff::default();
        loop {
            let failed = match self.settle(&mut left, mailboxes).await {
                Ok(()) => self.take_wanted(mailboxes).await?,
                Err(error) if error.is_retryable() => {
                    self.is_away(&error);
                    true
                }
                Err(error) => return Err(error),
            };
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

    /// Takes over what is wanted; returns whether something failed.
    ///
    /// # Errors
    /// `Closed` when the server is ending; `Diverged` when database and journal do not fit together
    /// and nobody else can be the reason.
    async fn take_wanted(&self, mailboxes: &Mailboxes) -> Result<bool> {
        let mut failed = false;
        let wanted = self.table.wanted();
        // What another node owns by now is its business.
        let is_wanted = |id| wanted.iter().any(|(each, _)| *each == id);
        self.observations.keep_loads(is_wanted);
        for (partition, epoch) in wanted {
            let loaded = self.load(partition, epoch).await;
            if loaded.is_ok() {
                self.observations.mended(Source::Load(partition));
            }
            match loaded {
                Ok(None) => {
                    // Who waits for it here has to go to that owner.
                    let worker = mailboxes.worker_of(partition);
                    let cease = WorkerMessage::Cease(partition, epoch);
                    mailboxes.send(worker, cease).await?;
                }
                Ok(Some(owned)) => self.hand_over(owned, epoch, mailboxes).await?,
                Err(error) if error.kind() == ErrorKind::Diverged && !self.has_peers => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%partition, %error, "a partition cannot be taken over yet");
                    let now = self.runtime.monotonic();
                    let source = Source::Load(partition);
                    self.observations.trouble(source, error.to_string(), now);
                    failed = true;
                }
            }
        }
        Ok(failed)
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
        // Requests that are let in from here on are handled after it.
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
/// As the journal's, of which `NotFound` says that a former owner has truncated what was not read
/// yet; `Unavailable` when others write all the time.
async fn fence(
    owned: &mut Owned,
    journal: &Arc<dyn Journal>,
    epoch: Epoch,
    now: Duration,
) -> Result<Option<Epoch>> {
    let partition = owned.partition.id();
    for _ in 0..MAX_FENCE_TRIES {
        let written = journal.extent(partition).await?.epoch;
        if written > epoch {
            return Ok(Some(written));
        }
        // A record of which was not known whether it was written may be there.
        let Owned {
            partition: replayed,
            tail,
            backing,
            ..
        } = &mut *owned;
        let waits = |through, bytes| backing.journalled(through, bytes, now);
        if replay_journal(replayed, tail, &**journal, waits).await? == Some(epoch) {
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
    Err(busy(partition, "its former owner writes all the time"))
}

/// The error of a partition that does not come to rest.
fn busy(partition: PartitionId, message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, "take partition over", message).with("partition", partition)
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

#[cfg(test)]
mod tests;
