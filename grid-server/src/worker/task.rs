//! The task of one worker: it drains its mailbox, commits what is there, and tells everybody.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, select_biased};
use grid_core::mutation::{Mutation, planted};
use grid_core::partition::MAX_EXPIRIES_PER_BATCH;
use grid_core::protocol::{Repair, ViewId};
use grid_core::traits::{Epoch, Journal, Policy, Runtime};
use grid_core::{PartitionId, Result};
use tokio::sync::{Notify, mpsc, oneshot};
use tower::{Service, ServiceExt};

use super::acks::{Deferrals, EarlyAcks};
use super::batch::Batch;
use super::credit::Credit;
use super::expected::Expected;
use super::held::Held;
use super::jobs::Scene;
use super::message::{Origin, PushWork, ReadWork, SubscribeWork, WorkerMessage};
use super::pipeline::{PartitionPipeline, partition_pipeline};
use super::reading::{merge_pages, read};
use super::subscribers::{Followed, Job, SharedSubscribers, Subscriber};
use super::turns::Turns;
use crate::config::Settings;
use crate::lifecycle::{Lifecycle, Phase};
use crate::observations::Observations;
use crate::ownership_table::OwnershipTable;
use crate::partition_service::{PartWork, PartitionService, Shard, Work, WorkBatch, not_here};
use crate::sessions::{Codecs, Owed, Session, goodbye};
use crate::turn::let_others_run;

/// What a worker shares with the rest of the server.
#[derive(Debug, Clone)]
pub(crate) struct WorkerContext {
    /// The worker's number.
    pub(crate) number: usize,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) codecs: Codecs,
    pub(crate) shard: Arc<Shard>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) table: Arc<OwnershipTable>,
    /// Wakes the task that writes to the database, when much has gathered or somebody waits.
    pub(crate) flush: Arc<Notify>,
    /// Woken when a partition was stored.
    pub(crate) stored: Arc<Notify>,
    pub(crate) observations: Arc<Observations>,
    pub(crate) lifecycle: Lifecycle,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) context: WorkerContext,
    mailbox: mpsc::Receiver<WorkerMessage>,
    pub(super) pipeline: PartitionPipeline,
    pub(super) subscribers: SharedSubscribers,
    /// Subscribers with more to get, which have had their turn.
    unfinished: Turns,
    /// Who waits for partitions that are still to be loaded.
    pub(super) expected: Expected,
    /// Whether ops are put off since the last that were taken.
    pub(super) puts_off: bool,
    /// What is told once the database has it.
    pub(super) held: Held,
    /// What connections may push while much waits for the database.
    pub(super) credit: Credit,
    /// Partitions of which a client has seen more than there is; each is told once.
    overtaken: BTreeSet<PartitionId>,
}

/// What a worker waits for.
enum Event {
    Due,
    Message(WorkerMessage),
    /// The database has more.
    Stored,
    /// Those with more to get may go on.
    OthersRan,
}

/// The wait between two batches of what is due by time, when one was not enough.
const BETWEEN: Duration = Duration::from_millis(1);

/// Messages that are handled after the batch that they arrived with.
type Later = Vec<WorkerMessage>;

impl Worker {
    pub(crate) fn new(
        context: WorkerContext,
        mailbox: mpsc::Receiver<WorkerMessage>,
        policy: Arc<dyn Policy>,
        service: PartitionService,
    ) -> Self {
        let subscribers = SharedSubscribers::default();
        Self {
            pipeline: partition_pipeline(&context, policy, subscribers.clone(), service),
            context,
            mailbox,
            subscribers,
            unfinished: Turns::default(),
            expected: Expected::default(),
            puts_off: false,
            held: Held::default(),
            credit: Credit::default(),
            overtaken: BTreeSet::new(),
        }
    }

    /// Works until it is told to stop or the server is dropped.
    pub(crate) async fn run(mut self) {
        let period = Duration::from_millis(self.context.settings.housekeeping_ms);
        let lifecycle = self.context.lifecycle.clone();
        let over = lifecycle.reached(Phase::Over).fuse();
        futures::pin_mut!(over);
        let mut due = self.context.runtime.sleep(period).fuse();
        loop {
            let unfinished = !self.unfinished.is_empty();
            let others_ran = async {
                if !unfinished {
                    std::future::pending::<()>().await;
                }
                let_others_run().await;
            };
            let event = select_biased! {
                () = over => return,
                () = due => Event::Due,
                // Before the mailbox, which busy clients never let run empty.
                () = Box::pin(self.context.stored.notified()).fuse() => Event::Stored,
                message = self.mailbox.recv().fuse() => match message {
                    Some(message) => Event::Message(message),
                    None => return,
                },
                () = Box::pin(others_ran).fuse() => Event::OthersRan,
            };
            match event {
                Event::Due => {
                    let more = self.keep_house().await;
                    // What came meanwhile has its turn in between.
                    let wait = if more { BETWEEN } else { period };
                    due = self.context.runtime.sleep(wait).fuse();
                }
                Event::Message(message) => {
                    if let Some(stopped) = self.turn(message).await {
                        self.finish_held().await;
                        // Nobody listening means that the server was dropped meanwhile.
                        let _ = stopped.send(());
                        return;
                    }
                }
                Event::Stored => self.tell_stored(),
                Event::OthersRan => {}
            }
            if let Some((session, partition, view)) = self.unfinished.next() {
                self.run_jobs(session, &[(partition, view)]);
            }
        }
    }

    /// Tells what is held back once it is stored, for as long as a shutdown waits: whoever is told
    /// nothing asks again later.
    async fn finish_held(&mut self) {
        // Who asks from now on need not wait.
        self.mailbox.close();
        let patience = Duration::from_millis(self.context.settings.drain_ms);
        let lifecycle = self.context.lifecycle.clone();
        let over = lifecycle.reached(Phase::Over).fuse();
        futures::pin_mut!(over);
        let mut due = self.context.runtime.sleep(patience).fuse();
        while !self.held.is_empty() {
            select_biased! {
                () = over => return,
                () = due => {
                    tracing::warn!("some who wait for the database are not told what it has");
                    return;
                }
                () = Box::pin(self.context.stored.notified()).fuse() => self.tell_stored(),
            }
        }
    }

    /// Handles a message and those that came with it.
    async fn turn(&mut self, first: WorkerMessage) -> Option<oneshot::Sender<()>> {
        let (max_ops, max_bytes) = (
            self.context.settings.batch_ops,
            self.context.settings.batch_bytes,
        );
        let mut batch = Batch::default();
        let mut later = Later::new();
        let mut deferrals = Deferrals::default();
        let mut next = Some(first);
        let mut messages = 0;
        while let Some(message) = next.take() {
            self.gather(message, &mut batch, &mut later, &mut deferrals);
            messages += 1;
            // Even messages that come to nothing must not keep what was gathered waiting.
            if batch.items < max_ops && batch.bytes < max_bytes && messages < max_ops {
                next = self.mailbox.try_recv().ok();
            }
        }
        self.put_off(deferrals);
        self.commit(batch).await;
        let mut stop = None;
        for message in later {
            if let WorkerMessage::Subscribe(work) = &message {
                self.doubt(work).await;
            }
            stop = self.handle(message).or(stop);
        }
        stop
    }

    /// Adds what is to be committed to the batch, begins what is to be run, and puts the rest
    /// aside.
    fn gather(
        &mut self,
        message: WorkerMessage,
        batch: &mut Batch,
        later: &mut Later,
        deferrals: &mut Deferrals,
    ) {
        match message {
            WorkerMessage::Push(push, _room) => {
                if self.admits(&push, deferrals) && !push.ops.is_empty() {
                    batch.push(push, &self.context.settings.ack_levels);
                }
            }
            WorkerMessage::Stored(session, stored) => batch.stored(&session, stored),
            WorkerMessage::Release(session, run) => {
                self.subscribers.lock().forget_run(session.id(), run);
                let partitions = self.context.shard.lock();
                let all = partitions.values().map(|owned| &owned.partition);
                batch.release(&session, run, all);
            }
            // At once: the requests that it lets in come after it, be it in the same turn.
            WorkerMessage::Begin(owned) => self.begin(*owned),
            other => later.push(other),
        }
    }

    /// Whether a push may be committed. If not, the client knows from where on to push again, or
    /// is told by `deferrals`.
    fn admits(&mut self, push: &PushWork, deferrals: &mut Deferrals) -> bool {
        let Origin::Session(session) = &push.origin else {
            return true;
        };
        let is_full = self.is_full(push);
        let mut subscribers = self.subscribers.lock();
        let taken = subscribers.admits(session.id(), push.run, push.first);
        if taken && !is_full {
            return true;
        }
        session.ops_answered(push.ops.len());
        if let (true, Some((_, _, op, _))) = (taken, push.ops.first()) {
            let message = "too many verdicts of this run are not confirmed as stored";
            deferrals.add(session, push.run, op.id.number, message);
            // At once: the next push of this turn must not be taken either.
            subscribers.refuse(session.id(), push.run, op.id.number);
        }
        false
    }

    /// Whether the push's run has as many exceptions in one of its partitions as there may be.
    fn is_full(&self, push: &PushWork) -> bool {
        let partitions = self.context.shard.lock();
        push.ops.iter().any(|(partition, ..)| {
            partitions
                .get(partition)
                .is_some_and(|owned| owned.partition.is_run_full(push.run))
        })
    }

    /// Runs a batch through the layers and the partition service.
    async fn commit(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let (mut work, sources, pushes) = {
            let partitions = self.context.shard.lock();
            batch.split(|id| partitions.get(&id).map_or(Epoch(0), |owned| owned.epoch))
        };
        if let Some(early) = EarlyAcks::of(&sources, &pushes) {
            work.early = Some(Box::new(early));
        }
        let results = self.serve(work).await;
        self.tell(results, &sources, pushes);
    }

    async fn serve(&mut self, work: WorkBatch) -> Vec<crate::partition_service::PartResult> {
        let Ok(ready) = self.pipeline.ready().await;
        let Ok(results) = ready.call(work).await;
        results
    }

    /// Does what is due by time; returns whether that was not all of it.
    async fn keep_house(&mut self) -> bool {
        let parts = {
            let partitions = self.context.shard.lock();
            partitions
                .iter()
                .filter(|(_, owned)| !owned.fenced)
                .map(|(partition, owned)| PartWork {
                    partition: *partition,
                    epoch: owned.epoch,
                    work: Work::Housekeeping,
                    refusal: None,
                })
                .collect()
        };
        let results = self.serve(WorkBatch { parts, early: None }).await;
        let more = results
            .iter()
            .filter_map(|part| part.result.as_ref().ok())
            .any(|committed| committed.effects.records().len() >= MAX_EXPIRIES_PER_BATCH);
        self.tell(results, &std::collections::BTreeMap::new(), Vec::new());
        more
    }

    /// Handles a message that commits nothing.
    fn handle(&mut self, message: WorkerMessage) -> Option<oneshot::Sender<()>> {
        match message {
            WorkerMessage::Subscribe(work) => self.subscribe(&work),
            WorkerMessage::Unsubscribe(session, view) => {
                self.subscribers.lock().unfollow(session, view);
                self.expected.unfollow(session, view);
            }
            WorkerMessage::Repair(session, repair, owed) => self.repair(&session, repair, owed),
            WorkerMessage::Read(work) => self.read(work),
            WorkerMessage::Drained(session) => self.drained(session),
            WorkerMessage::Leave(session) => {
                self.subscribers.lock().leave(session);
                self.expected.leave(session);
                self.held.leave(session);
                self.credit.leave(session);
            }
            WorkerMessage::Cease(partition, epoch) => self.cease(partition, epoch),
            WorkerMessage::Confirm(partition, epoch, found) => {
                self.confirm(partition, epoch, *found);
            }
            WorkerMessage::Stop(stopped) => return Some(stopped),
            // These were gathered.
            WorkerMessage::Push(..)
            | WorkerMessage::Stored(..)
            | WorkerMessage::Release(..)
            | WorkerMessage::Begin(_) => {}
        }
        None
    }

    pub(super) fn subscribe(&mut self, work: &SubscribeWork) {
        let partitions = self.context.shard.lock();
        let mut subscribers = self.subscribers.lock();
        for (id, cursor) in &work.partitions {
            let Some(owned) = partitions.get(id) else {
                if self.context.table.is_owned(*id) {
                    // It is still to be loaded; whoever owns it before that is heard of here.
                    self.expected.add(*id, *cursor, work);
                    continue;
                }
                work.session.outgoing().end(Some(&goodbye(&not_here(*id))));
                return;
            };
            let partition = &owned.partition;
            if partition.is_overtaken(work.history, *cursor) && self.overtaken.insert(*id) {
                tracing::error!(
                    map = %work.address.map,
                    partition = %id,
                    client_has_seen = %cursor.unwrap_or_default(),
                    sequence = %partition.sequence(),
                    "a client has seen more of this partition than there is: journal and database \
                     were both restored from a backup, and what was acknowledged since is lost; \
                     clients that connect are repaired"
                );
            }
            let subscriber = Subscriber {
                session: work.session.clone(),
                cursor: partition.sequence(),
                jobs: VecDeque::new(),
            };
            let open = || partition.open_view(&work.address, &work.selector);
            let followed = subscribers.follow(*id, work.view, open, subscriber);
            let Followed { view, subscribers } = followed;
            let scene = Scene {
                worker: self.context.number,
                id: work.view,
                view,
                partition,
                codecs: &self.context.codecs,
            };
            let session = work.session.id();
            if let Some(subscriber) = subscribers.get_mut(&session)
                && scene.welcome(subscriber, work.merge, work.history, *cursor)
            {
                self.unfinished.add((session, *id, work.view));
            }
        }
    }

    fn repair(&mut self, session: &Arc<Session>, repair: Repair, owed: Owed) {
        let (partition, view) = (repair.partition, repair.view);
        let mut subscribers = self.subscribers.lock();
        let subscriber = subscribers
            .get(partition, view)
            .and_then(|followed| followed.subscribers.get_mut(&session.id()));
        let Some(subscriber) = subscriber else {
            // It unsubscribed meanwhile.
            return;
        };
        subscriber.jobs.push_back(Job::Answer(repair.step, owed));
        drop(subscribers);
        self.run_jobs(session.id(), &[(partition, view)]);
    }

    /// Goes on with what a connection waits for.
    fn drained(&mut self, session: u64) {
        let follows = self.subscribers.lock().followed_by(session);
        self.run_jobs(session, &follows);
    }

    fn run_jobs(&mut self, session: u64, follows: &[(PartitionId, ViewId)]) {
        let partitions = self.context.shard.lock();
        let mut all = self.subscribers.lock();
        for (id, view_id) in follows {
            let followed = all.get(*id, *view_id);
            let (Some(owned), Some(Followed { view, subscribers })) =
                (partitions.get(id), followed)
            else {
                continue;
            };
            let scene = Scene {
                worker: self.context.number,
                id: *view_id,
                view,
                partition: &owned.partition,
                codecs: &self.context.codecs,
            };
            if let Some(subscriber) = subscribers.get_mut(&session)
                && scene.run(subscriber)
            {
                self.unfinished.add((session, *id, *view_id));
            }
        }
    }

    fn read(&self, work: ReadWork) {
        let pages = {
            let partitions = self.context.shard.lock();
            let pages = work.partitions.iter().map(|id| {
                let owned = partitions.get(id).ok_or_else(|| not_here(*id))?;
                let mut page = read(&owned.partition, &work.address, &work.target);
                if planted(Mutation::StaleRead) {
                    let stored = owned.backing.sequence();
                    page.records.retain(|record| record.sequence <= stored);
                }
                Ok(page)
            });
            pages.collect::<Result<Vec<_>>>()
        };
        let page = pages.map(|pages| merge_pages(&work.target, pages));
        // Nobody listening means that the connection is gone.
        let _ = work.reply.send(page);
    }
}
