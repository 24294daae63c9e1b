//! Taking partitions over: what this node becomes the owner of is loaded, fenced and served.

use std::sync::Arc;

use futures::{FutureExt, select_biased};
use grid_core::partition::{Effects, PartitionConfig, TableSeed};
use grid_core::traits::{Append, Epoch, Journal, Persistence, Position, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};

use crate::data_set::DataSet;
use crate::lifecycle::{Lifecycle, Phase};
use crate::observations::{Observations, Source};
use crate::ownership_table::OwnershipTable;
use crate::partition_service::Owned;
use crate::recovery::{recover, replay_journal};
use crate::worker::{Mailboxes, WorkerMessage};
use crate::write_behind::Backoff;

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
}

impl Takeover {
    /// Loads `partition` and fences its former owners; none when a later owner has written
    /// already.
    ///
    /// # Errors
    /// As those of the journal and the persistence; `Diverged` when the two do not fit together,
    /// `Unavailable` when a former owner stores all the time.
    pub(crate) async fn load(&self, partition: PartitionId, epoch: Epoch) -> Result<Option<Owned>> {
        let config = PartitionConfig {
            id: partition,
            history: self.data_set.history,
            digest_key: self.data_set.digest_key,
            seed: self.seed,
        };
        let now = self.runtime.monotonic();
        for _ in 0..MAX_LOADS {
            let mut owned = recover(config, &self.journal, &self.persistence, now).await?;
            let fenced = match owned.epoch {
                written if written > epoch => Ok(Some(written)),
                _ if self.has_peers => fence(&mut owned, &self.journal, epoch).await,
                _ => Ok(None),
            };
            match fenced {
                Ok(None) => {
                    owned.epoch = epoch;
                    return Ok(Some(owned));
                }
                Ok(Some(later)) => {
                    self.table.outdone(partition, later);
                    return Ok(None);
                }
                // A former owner has stored and truncated since the database was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(busy(partition, "its former owner stores all the time"))
    }

    /// Takes over what this node becomes the owner of, until the server ends.
    pub(crate) fn start(self, mailboxes: &Mailboxes, life: &Lifecycle) {
        let runtime = self.runtime.clone();
        let vital = life.depends_on("takeover");
        let taking = self.take(mailboxes.clone(), life.clone());
        let task = async move {
            taking.await;
            vital.done();
        };
        runtime.spawn("takeover", Box::pin(task));
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
                    Ok(None) => {}
                    Ok(Some(owned)) => {
                        if self.hand_over(owned, epoch, mailboxes).await.is_err() {
                            // The server is ending.
                            return;
                        }
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
) -> Result<Option<Epoch>> {
    let partition = owned.partition.id();
    for _ in 0..MAX_FENCE_TRIES {
        let written = journal.extent(partition).await?.epoch;
        if written > epoch {
            return Ok(Some(written));
        }
        // A record of which was not known whether it was written may be there.
        let replayed = replay_journal(&mut owned.partition, &mut owned.tail, &**journal).await?;
        if replayed.epoch == Some(epoch) {
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
mod tests {
    use async_trait::async_trait;
    use grid_core::codec::CborCodec;
    use grid_core::op::{Action, Op, OpId, RunId};
    use grid_core::partition::Rules;
    use grid_core::traits::{Codec, JournalExtent, Principal};
    use grid_core::{DigestKey, History, Hlc, Key, MapAddress, MapName, Namespace};
    use grid_runtime_tokio::TokioRuntime;
    use grid_storage_memory::MemoryPersistence;
    use grid_testkit::hooks::{HookedJournal, JournalHooks};
    use tokio::sync::{Mutex, Notify, mpsc, oneshot};

    use super::*;
    use crate::access::OpenPolicy;
    use crate::config::Settings;
    use crate::lifecycle::LifecycleOwner;
    use crate::memory_journal::MemoryJournal;
    use crate::partition_service::{PartitionService, Shard};
    use crate::support::owner;
    use crate::worker::{Origin, PushWork, Worker, WorkerContext};
    use crate::write_behind::BacklogBound;

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
            observations: Arc::default(),
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

    /// Before the second look at how far the journal reaches, a former owner begins, stores all
    /// that there is, and truncates.
    #[derive(Debug)]
    struct Storing {
        former: Takeover,
        looks: Mutex<u32>,
    }

    #[async_trait]
    impl JournalHooks for Storing {
        async fn extent(&self, inner: &dyn Journal, id: PartitionId) -> Result<JournalExtent> {
            let mut looks = self.looks.lock().await;
            *looks += 1;
            if *looks == 2 {
                let owned = self.former.load(id, Epoch(1)).await?.unwrap();
                let state = owned.partition.save(owned.tail);
                self.former.persistence.store(id, &[], &state).await?;
                inner.truncate(id, owned.tail).await?;
            }
            inner.extent(id).await
        }
    }

    #[tokio::test]
    async fn what_a_former_owner_truncates_before_it_is_fenced_is_loaded_from_the_database() {
        let former = takeover();
        former.table.changed(ID, &owner("here", 1));
        let hooks = Storing {
            former: former.clone(),
            looks: Mutex::default(),
        };
        let journal = HookedJournal::new(former.journal.clone(), hooks);
        let table = Arc::new(OwnershipTable::new("there".to_owned(), 3));
        table.changed(ID, &owner("there", 2));
        let takeover = Takeover {
            journal: Arc::new(journal),
            table,
            ..former
        };
        let owned = takeover.load(ID, Epoch(2)).await.unwrap().unwrap();
        assert_eq!((owned.epoch, owned.tail), (Epoch(2), Position(2)));
        assert_eq!(owned.backing.position(), Position(1), "it was loaded again");
    }

    fn worker(
        takeover: &Takeover,
        shard: &Arc<Shard>,
        mailbox: mpsc::Receiver<WorkerMessage>,
        lifecycle: &Lifecycle,
    ) -> Worker {
        let service = PartitionService::new(
            shard.clone(),
            takeover.journal.clone(),
            takeover.runtime.clone(),
            Rules::default(),
            BacklogBound::new(&Settings::default()),
        );
        let context = WorkerContext {
            number: 0,
            runtime: takeover.runtime.clone(),
            settings: Arc::new(Settings::default()),
            codecs: Arc::new([Arc::new(CborCodec) as Arc<dyn Codec>]),
            shard: shard.clone(),
            journal: takeover.journal.clone(),
            table: takeover.table.clone(),
            flush: Arc::new(Notify::new()),
            stored: Arc::new(Notify::new()),
            observations: Arc::default(),
            lifecycle: lifecycle.clone(),
        };
        Worker::new(context, mailbox, Arc::new(OpenPolicy), service)
    }

    fn put(reply: oneshot::Sender<Result<grid_core::partition::Outcome>>) -> PushWork {
        let map = MapName::new("m").unwrap();
        let address = MapAddress {
            namespace: Namespace::default(),
            map: map.clone(),
        };
        let op = Op {
            id: OpId {
                run: RunId(7),
                number: 1,
            },
            hlc: Hlc::ZERO,
            map,
            key: Key::new("k").unwrap(),
            action: Action::Put {
                value: vec![1].into(),
                ttl_ms: None,
            },
            base: Hlc::ZERO,
            if_version: None,
            schema: 0,
            ack: None,
        };
        PushWork {
            origin: Origin::Program {
                principal: Arc::new(Principal {
                    name: "program".to_owned(),
                    namespace: Namespace::default(),
                }),
                reply: Some(reply),
            },
            run: RunId(7),
            first: 1,
            ops: vec![(ID, address, op, None)],
        }
    }

    #[tokio::test]
    async fn a_request_that_is_let_in_is_handled_after_its_partition_has_come() {
        let takeover = takeover();
        let (sender, mailbox) = mpsc::channel(4);
        let mailboxes = Mailboxes::new(vec![sender]);
        let (_alive, lifecycle) = LifecycleOwner::new();
        let shard = Arc::new(Shard::default());
        let worker = worker(&takeover, &shard, mailbox, &lifecycle);
        takeover.table.changed(ID, &owner("here", 1));
        let owned = takeover.load(ID, Epoch(1)).await.unwrap().unwrap();
        let handed = takeover.hand_over(owned, Epoch(1), &mailboxes).await;
        handed.unwrap();
        // All of it waits for the worker's first turn.
        let (reply, answer) = oneshot::channel();
        mailboxes.push(0, put(reply)).await.unwrap();
        // What is to cease was before.
        let cease = mailboxes.send(0, WorkerMessage::Cease(ID, Epoch(0))).await;
        cease.unwrap();
        let (stopped, _) = oneshot::channel();
        let stop = mailboxes.send(0, WorkerMessage::Stop(stopped)).await;
        stop.unwrap();
        worker.run().await;
        answer.await.unwrap().unwrap();
        assert!(shard.lock().contains_key(&ID), "it is run on");
    }
}
