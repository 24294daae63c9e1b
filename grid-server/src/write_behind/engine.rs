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
use super::settling::Claim;
use super::store::{Progress, Store};
use crate::identity::Identity;
use crate::lifecycle::{Lifecycle, Phase};
use crate::observations::Source;
use crate::turn::let_others_run;

/// Partitions whose batches are under way at once; of one partition it is one batch at most.
const BATCHES_AT_ONCE: usize = 4;
/// Tries of the last flush, at a shutdown. What it cannot write is in the journal.
const LAST_TRIES: u32 = 3;

/// An order to store a dead letter again.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) letter: Box<DeadLetter>,
    /// Nobody else settles it meanwhile, also when the operator does not wait.
    pub(crate) claim: Claim,
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
    /// An order for a partition of which a batch is under way.
    held: Option<Retry>,
    /// Whether a dead letter is on its way: one at a time.
    retrying: bool,
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
    /// Something that was left alone, or everything, is due.
    Due,
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
            schedule: Schedule::default(),
            jobs: FuturesUnordered::new(),
            held: None,
            retrying: false,
            has_stored: false,
        }
    }

    /// Writes from time to time until the server ends; whatever was acknowledged when it drained is
    /// written then.
    pub(crate) async fn run(mut self) {
        self.next_sweep += self.interval();
        loop {
            let now = self.now();
            self.begin_batches(now);
            match self.next(now).await {
                Event::Drained => break,
                Event::Retry(order) => self.order(order),
                Event::Due => self.due(),
                Event::Woken => self.schedule.add(self.store.wanted(false)),
                Event::Done(done) => {
                    self.done(done);
                    self.let_identity_move_on().await;
                    // Batches that a database in memory takes at once must not keep others back.
                    let_others_run().await;
                    if self.wake.notified().now_or_never().is_some() {
                        self.schedule.add(self.store.wanted(false));
                    }
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

    async fn next(&mut self, now: Duration) -> Event {
        let paused_until = self.schedule.paused_until(now);
        let deadline = paused_until.unwrap_or_else(|| {
            let turn = self.schedule.deadline();
            turn.map_or(self.next_sweep, |turn| turn.min(self.next_sweep))
        });
        if deadline <= now && !self.lifecycle.has_reached(Phase::Drained) {
            // A timer takes a millisecond at least, in which a database in memory is never idle.
            return Event::Due;
        }
        let takes_orders = self.held.is_none() && !self.retrying;
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
            if takes_orders && let Some(retry) = retries.recv().await {
                return retry;
            }
            futures::future::pending().await
        };
        select_biased! {
            () = Box::pin(lifecycle.reached(Phase::Drained)).fuse() => Event::Drained,
            retry = Box::pin(retry).fuse() => Event::Retry(retry),
            done = jobs.select_next_some() => Event::Done(done),
            () = Box::pin(store.runtime.sleep(deadline.saturating_sub(now))).fuse() => Event::Due,
            () = Box::pin(wake).fuse() => Event::Woken,
        }
    }

    /// Begins as many batches as may be under way.
    fn begin_batches(&mut self, now: Duration) {
        let settings = &self.store.settings;
        let whole = Budget {
            records: settings.flush_records,
            bytes: settings.flush_bytes,
        };
        while self.jobs.len() < BATCHES_AT_ONCE
            && let Some(partition) = self.schedule.next(now)
        {
            let budget = self.schedule.budget(partition, whole);
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

    /// What was left alone has its turn again, and from time to time everything that waits.
    fn due(&mut self) {
        let now = self.now();
        self.schedule.resume(now);
        if self.next_sweep <= now {
            self.next_sweep = now + self.interval();
            let wanted = self.store.wanted(true);
            // What was wrong may be of partitions that are not here any more, or need nothing.
            let observations = &self.store.observations;
            for partition in self.schedule.forget_unless(&wanted) {
                observations.mended(Source::Partition(partition));
            }
            self.schedule.add(wanted);
            if self.schedule.is_empty() {
                observations.mended(Source::Database(self.number));
            }
        }
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
            self.held = Some(order);
            return;
        }
        self.schedule.hold(partition);
        self.retrying = true;
        let store = self.store.clone();
        self.jobs.push(Box::pin(async move {
            let result = store.retry(&order.letter).await;
            // Whoever has the answer may order again.
            drop(order.claim);
            // Nobody listening means that the operator did not wait.
            let _ = order.reply.send(result);
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
                    Ok(progress) => self.succeeded(partition, progress, pauses),
                    Err(error) => self.failed(partition, &error, pauses),
                }
                partition
            }
            Done::Retry(partition) => {
                self.retrying = false;
                self.schedule.release(partition);
                self.schedule.add([partition]);
                partition
            }
        };
        let is_free = |order: &mut Retry| order.letter.partition == partition;
        if let Some(order) = self.held.take_if(is_free) {
            self.order(order);
        }
    }

    fn succeeded(&mut self, partition: PartitionId, progress: Progress, pauses: u32) {
        self.has_stored = true;
        let observations = &self.store.observations;
        if self.schedule.is_news(pauses) && observations.database_takes_changes(self.number) {
            tracing::info!("the database takes changes again");
        }
        if self.schedule.succeeded(partition, pauses, self.now()) {
            observations.mended(Source::Partition(partition));
        }
        if progress == Progress::More || self.store.is_wanted(partition) {
            self.schedule.add([partition]);
        }
    }

    fn failed(&mut self, partition: PartitionId, error: &Error, pauses: u32) {
        let observations = &self.store.observations;
        observations.count(|counts| counts.failed_batches += 1);
        let now = self.now();
        let random = self.store.runtime.random();
        let consequence = self.schedule.failed(partition, error, pauses, now, random);
        // Who is alone with it cannot tell its own failure from one of all.
        let is_away = error.is_retryable() && self.schedule.is_alone(partition);
        match consequence {
            Consequence::Known => {}
            Consequence::Delay(wait) if !is_away => {
                tracing::error!(%partition, %error, ?wait, "a partition cannot be stored; trying again");
                observations.trouble(Source::Partition(partition), error.to_string(), now);
            }
            Consequence::Delay(wait) | Consequence::Pause(wait) => {
                tracing::warn!(%partition, %error, ?wait, "the database takes no changes; trying again");
                observations.trouble(Source::Database(self.number), error.to_string(), now);
            }
        }
    }

    /// Writes what is left, at a shutdown. A database that is away is tried a few times, and so is
    /// each partition that has a failure of its own.
    async fn finish(&mut self) {
        let mut before = self.schedule.pauses();
        let mut tries: BTreeMap<PartitionId, u32> = BTreeMap::new();
        self.schedule.add(self.store.wanted(true));
        loop {
            let now = self.now();
            self.schedule.hurry(now);
            if self.schedule.pauses() - before < LAST_TRIES {
                self.begin_batches(now);
            }
            let Some(done) = self.jobs.next().await else {
                break;
            };
            let ended = match &done {
                Done::Batch {
                    partition, result, ..
                } => Some((*partition, result.is_ok())),
                Done::Retry(_) => None,
            };
            self.done(done);
            match ended {
                Some((partition, true)) => {
                    before = self.schedule.pauses();
                    tries.remove(&partition);
                }
                Some((partition, false)) => {
                    let tries = tries.entry(partition).or_default();
                    *tries += 1;
                    if *tries >= LAST_TRIES {
                        self.schedule.hold(partition);
                    }
                }
                None => {}
            }
            self.schedule.add(self.store.wanted(true));
        }
        if !self.store.wanted(true).is_empty() {
            tracing::error!("the journal keeps what the database did not take");
        }
        self.let_identity_move_on().await;
    }
}
