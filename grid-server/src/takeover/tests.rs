//! What is taken over, and what is not.

use async_trait::async_trait;
use grid_core::codec::CborCodec;
use grid_core::partition::Rules;
use grid_core::traits::{Codec, JournalExtent, Principal};
use grid_core::{DigestKey, History, Namespace};
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
use crate::support::{RUN, address, op, owner};
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
            begun_here: true,
        },
        seed: TableSeed(1, 2),
        has_peers: true,
        observations: Arc::default(),
        settings: Arc::default(),
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
    takeover.table.changed(ID, &owner("there", 3));
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
    PushWork {
        origin: Origin::Program {
            principal: Arc::new(Principal {
                name: "program".to_owned(),
                namespace: Namespace::default(),
            }),
            reply: Some(reply),
        },
        run: RUN,
        first: 1,
        ops: vec![(ID, address(), op(1), None)],
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
