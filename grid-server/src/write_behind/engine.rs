//! The task that writes a worker's partitions to the database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, select_biased};
use grid_core::partition::Budget;
use grid_core::{Error, PartitionId, Result};
use tokio::sync::{Notify, mpsc, oneshot};

use super::dead_letters::DeadLetter;
use super::schedule::{Consequence, Schedule};
use super::store::{Progress, Store};
use crate::identity::Identity;
use crate::lifecycle::{Lifecycle, Phase};
use crate::observations::Source;
use crate::turn::let_others_run;

/// Partitions whose batches are under way at once; of one partition it is one batch at most.
const BATCHES_AT_ONCE: usize = 4;
/// Tries of the last flush, at a shutdown. What it cannot write is in the journal.
const LAST_TRIES: usize = 3;

/// An order to store a dead letter again.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) letter: Box<DeadLetter>,
    pub(crate) reply: oneshot::Sender<Result<()>>,
}

/// Writes a worker's partitions to the database, and lets the journal forget what it wrote.
pub(crate) struct Engine {
    /// The worker's number.
    number: usize,
    store: Arc<Store>,
    identity: Arc<Identity>,
    /// Woken when much has gathered or somebody waits.
    wake: Arc<Notify>,
    retries: mpsc::Receiver<Retry>,
    lifecycle: Lifecycle,
    schedule: Schedule,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Orders for partitions of which a batch is under way.
    held: Vec<Retry>,
    /// When everything is stored, however little it is.
    next_sweep: Duration,
    /// Whether something was stored since the identity moved on.
    has_stored: bool,
}

/// A job is done.
enum Done {
    Batch {
        partition: PartitionId,
        /// The pauses before it was begun.
        pauses: u32,
        result: Result<Progress>,
    },
    Retry(PartitionId),
}

/// Why the engine wakes.
enum Event {
    Drained,
    Retry(Retry),
    /// Everything is to be stored.
    Sweep,
    Woken,
    Done(Done),
}

impl Engine {
    pub(crate) fn new(
        number: usize,
        store: Store,
        identity: Arc<Identity>,
        wake: Arc<Notify>,
        retries: mpsc::Receiver<Retry>,
        lifecycle: Lifecycle,
    ) -> Self {
        Self {
            number,
            next_sweep: store.runtime.monotonic(),
            store: Arc::new(store),
            identity,
            wake,
            retries,
            lifecycle,
            schedule: Schedule::new(),
            jobs: FuturesUnordered::new(),
            held: Vec::new(),
            has_stored: false,
        }
    }

    /// Writes from time to time until the server ends; whatever was acknowledged when it drained is
    /// written then.
    pub(crate) async fn run(mut self) {
        self.next_sweep += self.interval();
        loop {
            self.begin_batches();
            match self.next().await {
                Event::Drained => break,
                Event::Retry(order) => self.order(order),
                Event::Sweep => self.sweep().await,
                Event::Woken => self.schedule.add(self.store.wanted(false)),
                Event::Done(done) => {
                    self.done(done);
                    // Batches that a database in memory takes at once must not keep others back.
                    let_others_run().await;
                }
            }
        }
        if !self.lifecycle.has_reached(Phase::Over) {
            self.finish().await;
        }
    }

    /// The time over which changes of one key are stored as one.
    fn interval(&self) -> Duration {
        Duration::from_millis(self.store.settings.flush_interval_ms)
    }

    fn now(&self) -> Duration {
        self.store.runtime.monotonic()
    }

    async fn next(&mut self) -> Event {
        let now = self.now();
        let paused_until = self.schedule.paused_until().filter(|until| *until > now);
        let wait = paused_until.unwrap_or(self.next_sweep).saturating_sub(now);
        let Self {
            store,
            wake,
            retries,
            lifecycle,
            jobs,
            ..
        } = self;
        let wake = async {
            // After a failure nothing wakes it early: the database needs the time.
            if paused_until.is_some() {
                futures::future::pending::<()>().await;
            }
            wake.notified().await;
        };
        let retry = async {
            match retries.recv().await {
                Some(retry) => retry,
                None => futures::future::pending().await,
            }
        };
        select_biased! {
            () = Box::pin(lifecycle.reached(Phase::Drained)).fuse() => Event::Drained,
            retry = Box::pin(retry).fuse() => Event::Retry(retry),
            () = Box::pin(store.runtime.sleep(wait)).fuse() => Event::Sweep,
            () = Box::pin(wake).fuse() => Event::Woken,
            done = jobs.select_next_some() => Event::Done(done),
        }
    }

    /// Begins as many batches as may be under way.
    fn begin_batches(&mut self) {
        let settings = &self.store.settings;
        let whole = Budget {
            records: settings.flush_records,
            bytes: settings.flush_bytes,
        };
        while self.jobs.len() < BATCHES_AT_ONCE
            && let Some(partition) = self.schedule.next(self.now())
        {
            let budget = self.schedule.budget(whole);
            let Some(batch) = self.store.batch(partition, budget) else {
                self.schedule.release(partition);
                continue;
            };
            let (store, pauses) = (self.store.clone(), self.schedule.pauses());
            self.jobs.push(Box::pin(async move {
                Done::Batch {
                    partition,
                    pauses,
                    result: store.store(partition, batch).await,
                }
            }));
        }
    }

    /// Everything that waits is to be stored.
    async fn sweep(&mut self) {
        self.next_sweep = self.now() + self.interval();
        self.schedule.add(self.store.wanted(true));
        self.let_identity_move_on().await;
    }

    async fn let_identity_move_on(&mut self) {
        let has_stored = std::mem::take(&mut self.has_stored);
        if has_stored
            && self.store.stores_for_good()
            && let Err(error) = self.identity.move_on().await
        {
            tracing::warn!(%error, "the journal cannot let go of the identity's old place yet");
        }
    }

    /// A dead letter is to be stored again, as soon as no batch of its partition is under way.
    fn order(&mut self, order: Retry) {
        let partition = order.letter.partition;
        if self.schedule.is_under_way(partition) {
            self.held.push(order);
            return;
        }
        self.schedule.hold(partition);
        let store = self.store.clone();
        self.jobs.push(Box::pin(async move {
            // Nobody listening means that the operator did not wait.
            let _ = order.reply.send(store.retry(&order.letter).await);
            Done::Retry(partition)
        }));
    }

    fn done(&mut self, done: Done) {
        let partition = match done {
            Done::Batch {
                partition,
                pauses,
                result,
            } => {
                match result {
                    Ok(progress) => self.succeeded(partition, progress),
                    Err(error) => self.failed(partition, &error, pauses),
                }
                partition
            }
            Done::Retry(partition) => {
                self.schedule.release(partition);
                self.schedule.add([partition]);
                partition
            }
        };
        let held = |order: &Retry| order.letter.partition == partition;
        if let Some(at) = self.held.iter().position(held) {
            let order = self.held.remove(at);
            self.order(order);
        }
    }

    fn succeeded(&mut self, partition: PartitionId, progress: Progress) {
        self.has_stored = true;
        let observations = &self.store.observations;
        if self.schedule.succeeded(partition) {
            observations.mended(Source::Partition(partition));
        }
        observations.mended(Source::Database(self.number));
        self.next_sweep = self.next_sweep.min(self.now() + self.interval());
        if progress == Progress::More || self.store.is_wanted(partition) {
            self.schedule.add([partition]);
        }
    }

    fn failed(&mut self, partition: PartitionId, error: &Error, pauses: u32) {
        let observations = &self.store.observations;
        observations.count(|counts| counts.failed_batches += 1);
        let now = self.now();
        let spread = (self.store.runtime.random(), self.interval());
        let consequence = self.schedule.failed(partition, error, pauses, now, spread);
        match consequence {
            Consequence::None => {}
            Consequence::Pause(wait) => {
                self.next_sweep = now + wait;
                tracing::warn!(%partition, %error, ?wait, "the database takes no changes; trying again");
                observations.trouble(Source::Database(self.number), error.to_string(), now);
            }
            Consequence::Delay(wait) => {
                tracing::error!(%partition, %error, ?wait, "a partition cannot be stored; trying again");
                observations.trouble(Source::Partition(partition), error.to_string(), now);
            }
        }
    }

    /// Writes what is left, at a shutdown. A database that is away is tried a few times, and so is
    /// each partition that has a failure of its own; none keeps others back.
    async fn finish(&mut self) {
        let before = self.schedule.pauses() as usize;
        let mut tries: BTreeMap<PartitionId, usize> = BTreeMap::new();
        self.schedule.add(self.store.wanted(true));
        loop {
            self.schedule.hurry();
            if self.schedule.pauses() as usize - before < LAST_TRIES {
                self.begin_batches();
            }
            let Some(done) = self.jobs.next().await else {
                break;
            };
            if let Done::Batch {
                partition,
                result: Err(error),
                ..
            } = &done
                && !error.is_retryable()
            {
                let tries = tries.entry(*partition).or_default();
                *tries += 1;
            }
            self.done(done);
            let left = self.store.wanted(true).into_iter();
            let given_up =
                |id: &PartitionId| tries.get(id).is_some_and(|tries| *tries >= LAST_TRIES);
            self.schedule.add(left.filter(|id| !given_up(id)));
        }
        if !self.store.wanted(true).is_empty() {
            tracing::error!("the journal keeps what the database did not take");
        }
        self.let_identity_move_on().await;
    }
}
