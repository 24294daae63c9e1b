//! The task that writes a worker's partitions to the database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, select_biased};
use grid_core::mutation::{Mutation, planted};
use grid_core::partition::Budget;
use grid_core::traits::{Epoch, Journal, Persistence, RecordCursor, Runtime};
use grid_core::{Error, ErrorKind, History, PartitionId, Result};
use tokio::sync::{Notify, mpsc, oneshot};

use super::backoff::Backoff;
use super::batch::Batch;
use super::dead_letters::{Buried, DeadLetter, DeadLetters};
use super::isolate::{Poison, is_poison, isolate};
use crate::config::Settings;
use crate::identity::Identity;
use crate::lifecycle::{Lifecycle, Phase};
use crate::observations::{Observations, Source};
use crate::partition_service::{Owned, Shard, fenced};
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
#[derive(Debug)]
pub(crate) struct Engine {
    /// The worker's number.
    pub(crate) number: usize,
    pub(crate) shard: Arc<Shard>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) persistence: Arc<dyn Persistence>,
    pub(crate) history: History,
    pub(crate) identity: Arc<Identity>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Arc<Settings>,
    /// Woken when much has gathered or somebody waits.
    pub(crate) wake: Arc<Notify>,
    /// Wakes the worker when a partition was stored.
    pub(crate) stored: Arc<Notify>,
    pub(crate) retries: mpsc::Receiver<Retry>,
    pub(crate) observations: Arc<Observations>,
    pub(crate) lifecycle: Lifecycle,
}

/// What became of one batch.
enum Progress {
    /// There is nothing left of the partition.
    Level,
    /// There is more.
    More,
}

/// A partition that is left alone for a while.
#[derive(Debug, Default)]
struct Delay {
    backoff: Backoff,
    /// Until when, by the monotonic clock.
    until: Duration,
}

/// What one round came to.
#[derive(Debug, Default)]
struct Round {
    /// Whether something was stored.
    stored: bool,
    /// Whether a partition has more to store.
    more: bool,
    /// Why the database takes nothing now, and the partition that was tried.
    outage: Option<(PartitionId, Error)>,
}

/// Why the engine wakes.
enum Event {
    Drained,
    Due,
    Retry(Retry),
}

impl Engine {
    /// Writes from time to time until the server ends; whatever was acknowledged when it drained is
    /// written then.
    pub(crate) async fn run(mut self) {
        let mut delays = BTreeMap::new();
        let mut outages = Backoff::default();
        // When everything is stored, however little it is.
        let mut next_sweep = self.runtime.monotonic() + self.interval();
        let mut wait = self.interval();
        let mut may_wake = true;
        let mut begin_after = None;
        loop {
            match self.next(wait, may_wake).await {
                Event::Drained => break,
                Event::Retry(Retry { letter, reply }) => {
                    // Nobody listening means that the operator did not wait.
                    let _ = reply.send(self.retry(&letter).await);
                    continue;
                }
                Event::Due => {}
            }
            let sweeps = self.runtime.monotonic() >= next_sweep;
            let round = self.round(&mut delays, begin_after, sweeps).await;
            let now = self.runtime.monotonic();
            if sweeps && !round.more {
                next_sweep = now + self.interval();
            }
            // After a failure nothing wakes it early: the database needs the time.
            may_wake = round.outage.is_none();
            wait = if let Some((partition, error)) = round.outage {
                begin_after = Some(partition);
                let wait = outages.failed(self.runtime.random());
                tracing::warn!(%partition, %error, ?wait, "the database takes no changes; trying again");
                let source = Source::Database(self.number);
                self.observations.trouble(source, error.to_string(), now);
                next_sweep = now;
                wait.max(self.interval())
            } else if round.more {
                self.observations.mended(Source::Database(self.number));
                Duration::ZERO
            } else {
                self.observations.mended(Source::Database(self.number));
                outages.succeeded();
                next_sweep.saturating_sub(now)
            };
        }
        if !self.lifecycle.has_reached(Phase::Over) {
            self.finish().await;
        }
    }

    /// The time over which changes of one key are stored as one.
    fn interval(&self) -> Duration {
        Duration::from_millis(self.settings.flush_interval_ms)
    }

    async fn next(&mut self, wait: Duration, may_wake: bool) -> Event {
        let wake = async {
            if !may_wake {
                futures::future::pending::<()>().await;
            }
            self.wake.notified().await;
        };
        let retry = async {
            match self.retries.recv().await {
                Some(retry) => retry,
                None => futures::future::pending().await,
            }
        };
        let pause = async {
            // A timer takes a millisecond at least, which is more than a small batch does.
            if wait.is_zero() {
                let_others_run().await;
            } else {
                self.runtime.sleep(wait).await;
            }
        };
        select_biased! {
            () = Box::pin(self.lifecycle.reached(Phase::Drained)).fuse() => Event::Drained,
            retry = Box::pin(retry).fuse() => Event::Retry(retry),
            () = Box::pin(wake).fuse() => Event::Due,
            () = Box::pin(pause).fuse() => Event::Due,
        }
    }

    /// Writes what is left, at a shutdown.
    async fn finish(&self) {
        let mut failures = 0;
        while failures < LAST_TRIES {
            // Each try is for every partition, however often it failed before.
            let mut delays = BTreeMap::new();
            let round = self.round(&mut delays, None, true).await;
            if let Some((_, error)) = round.outage {
                tracing::warn!(%error, "the last changes are not stored yet");
                failures += 1;
            } else if !delays.is_empty() {
                failures += 1;
            } else if !round.more {
                return;
            }
        }
        tracing::error!("the journal keeps what the database did not take");
    }

    /// Stores one batch of every partition that has something to store (of those that have much, or
    /// that somebody waits for, unless `sweeps`), until the database turns out to be away. The
    /// failure of one partition does not keep others back.
    async fn round(
        &self,
        delays: &mut BTreeMap<PartitionId, Delay>,
        begin_after: Option<PartitionId>,
        sweeps: bool,
    ) -> Round {
        let now = self.runtime.monotonic();
        let partitions: Vec<PartitionId> = {
            let partitions = self.shard.lock();
            let wanted = partitions
                .iter()
                .filter(|(_, owned)| sweeps || self.is_wanted(owned));
            wanted.map(|(id, _)| *id).collect()
        };
        let is_due = |id: &PartitionId| delays.get(id).is_none_or(|delay| delay.until <= now);
        let mut due: Vec<PartitionId> = partitions.into_iter().filter(is_due).collect();
        // After an outage others are the first to try: it may have been of one partition alone.
        let first = due.partition_point(|id| Some(*id) <= begin_after);
        due.rotate_left(first);
        let mut waiting = due
            .into_iter()
            .filter_map(|id| Some((id, self.batch(id, now)?)));
        let mut round = Round::default();
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < BATCHES_AT_ONCE
                && round.outage.is_none()
                && let Some((partition, batch)) = waiting.next()
            {
                let stored = self.store(partition, batch);
                under_way.push(async move { (partition, stored.await) });
            }
            let Some((partition, stored)) = under_way.next().await else {
                break;
            };
            match stored {
                Ok(progress) => {
                    if delays.remove(&partition).is_some() {
                        self.observations.mended(Source::Partition(partition));
                    }
                    round.stored = true;
                    round.more |= matches!(progress, Progress::More);
                }
                Err(error) if error.is_retryable() => {
                    self.observations.count(|counts| counts.failed_batches += 1);
                    round.outage = Some((partition, error));
                }
                Err(error) => {
                    self.observations.count(|counts| counts.failed_batches += 1);
                    let delay = delays.entry(partition).or_default();
                    let wait = delay.backoff.failed(self.runtime.random());
                    let now = self.runtime.monotonic();
                    delay.until = now + wait;
                    let source = Source::Partition(partition);
                    self.observations.trouble(source, error.to_string(), now);
                    tracing::error!(%partition, %error, ?wait, "a partition cannot be stored; trying again");
                }
            }
        }
        if round.stored
            && self.stores_for_good()
            && let Err(error) = self.identity.move_on().await
        {
            tracing::warn!(%error, "the journal cannot let go of the identity's old place yet");
        }
        round
    }

    /// Whether a partition has much to store, or somebody waits for it.
    fn is_wanted(&self, owned: &Owned) -> bool {
        owned.backing.is_urgent() || gathered_enough(&self.settings, owned)
    }

    fn batch(&self, partition: PartitionId, now: Duration) -> Option<Batch> {
        let budget = Budget {
            records: self.settings.flush_records,
            bytes: self.settings.flush_bytes,
        };
        let partitions = self.shard.lock();
        Batch::of(partitions.get(&partition)?, budget, now)
    }

    fn letters(&self) -> DeadLetters<'_> {
        DeadLetters::new(&*self.persistence, self.history)
    }

    /// Whether the journal may forget what was stored: it promised to survive a power cut.
    fn stores_for_good(&self) -> bool {
        self.persistence.capabilities().survives_power_loss
    }

    async fn store(&self, partition: PartitionId, batch: Batch) -> Result<Progress> {
        let poison = match self
            .persistence
            .store(partition, &batch.records, batch.state())
            .await
        {
            Ok(()) => Vec::new(),
            Err(error) if is_poison(&error) && !batch.records.is_empty() => {
                let stored = self.store_without_poison(partition, &batch).await;
                stored.inspect_err(|_| self.in_doubt(partition, &batch))?
            }
            Err(error) => {
                self.in_doubt(partition, &batch);
                return Err(error);
            }
        };
        self.unbury(partition, &batch, &poison).await?;
        if let Some(horizon) = batch.mark.collect {
            self.persistence.collect(partition, horizon).await?;
        }
        let refused = poison.len() as u64;
        self.observations.count(|counts| {
            counts.stored_batches += 1;
            counts.stored_records += batch.records.len() as u64 - refused;
            counts.refused_versions += refused;
        });
        let level = batch.mark.level.as_ref().map(|level| level.position);
        let may_forget = self.stored(partition, batch);
        match level {
            Some(position) if may_forget && self.stores_for_good() => {
                self.journal.truncate(partition, position).await?;
                Ok(Progress::Level)
            }
            Some(_) => Ok(Progress::Level),
            None => Ok(Progress::More),
        }
    }

    /// Stores what can be stored of a batch, and the rest as dead letters; then the state that goes
    /// with both.
    async fn store_without_poison(
        &self,
        partition: PartitionId,
        batch: &Batch,
    ) -> Result<Vec<Poison>> {
        let poison = isolate(&*self.persistence, partition, &batch.records, &batch.before).await?;
        self.expect_letters(partition, batch.epoch, &poison)?;
        let now_ms = self.runtime.now_ms();
        if !planted(Mutation::LoseDeadLetter) {
            self.letters().bury(partition, &poison, now_ms).await?;
        }
        for Poison { record, error } in &poison {
            tracing::error!(
                %partition,
                map = %record.address,
                key = %record.record.key,
                sequence = %record.record.sequence,
                %error,
                "the database refuses a version; it is kept as a dead letter"
            );
        }
        self.persistence
            .store(partition, &[], batch.state())
            .await?;
        Ok(poison)
    }

    /// Takes note of letters before they are written: whatever becomes of the calls until the state
    /// is stored, a later version of the entry settles its letter.
    ///
    /// # Errors
    /// `Conflict` when the partition would have more letters than it may, `Unavailable` when it has
    /// another owner by now.
    fn expect_letters(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        poison: &[Poison],
    ) -> Result<()> {
        let mut partitions = self.shard.lock();
        let owned = partitions.get_mut(&partition);
        let owned = owned.filter(|owned| owned.epoch == epoch);
        let buried = &mut owned.ok_or_else(|| fenced(partition))?.backing.buried;
        let coming = poison
            .iter()
            .map(|Poison { record, .. }| (RecordCursor::of(record), record.record.sequence));
        let coming: Buried = coming.collect();
        let new = coming.keys().filter(|cursor| !buried.contains_key(cursor));
        let letters = buried.len() + new.count();
        if letters <= self.settings.dead_letters {
            buried.extend(coming);
            return Ok(());
        }
        let message = "the database refuses so many versions that no more are put aside; retry or \
                       drop some dead letters, or raise `dead_letters`";
        Err(Error::new(ErrorKind::Conflict, "store records", message).with("letters", letters))
    }

    /// Lets go of letters of which the same or a later version was stored.
    async fn unbury(&self, partition: PartitionId, batch: &Batch, poison: &[Poison]) -> Result<()> {
        let settled = {
            let partitions = self.shard.lock();
            let owned = partitions.get(&partition);
            let Some(owned) = owned.filter(|owned| owned.epoch == batch.epoch) else {
                return Ok(());
            };
            let buried = &owned.backing.buried;
            if buried.is_empty() {
                return Ok(());
            }
            let mut settled = Buried::new();
            for stored in &batch.records {
                let cursor = RecordCursor::of(stored);
                if let Some(sequence) = buried.get(&cursor)
                    && *sequence <= stored.record.sequence
                {
                    settled.insert(cursor, *sequence);
                }
            }
            for each in poison {
                settled.remove(&RecordCursor::of(&each.record));
            }
            settled
        };
        self.letters().remove(partition, &settled).await?;
        self.forget_letters(partition, &settled);
        Ok(())
    }

    fn forget_letters(&self, partition: PartitionId, settled: &Buried) {
        if let Some(owned) = self.shard.lock().get_mut(&partition) {
            let buried = &mut owned.backing.buried;
            buried.retain(|cursor, sequence| settled.get(cursor) != Some(sequence));
        }
    }

    /// Takes note of what was stored; returns whether the journal may forget what came before it.
    fn stored(&self, partition: PartitionId, batch: Batch) -> bool {
        let mut partitions = self.shard.lock();
        let owned = partitions.get_mut(&partition);
        let Some(owned) = owned.filter(|owned| owned.epoch == batch.epoch) else {
            return false;
        };
        self.stored.notify_one();
        owned.backing.stored(batch.mark)
    }

    /// Takes note of a state record that may still be stored, at any later time.
    fn in_doubt(&self, partition: PartitionId, batch: &Batch) {
        if let Some(level) = &batch.mark.level
            && let Some(owned) = self.shard.lock().get_mut(&partition)
        {
            owned.backing.in_doubt(level.state.sequence);
        }
    }

    /// Stores a dead letter where it belongs.
    async fn retry(&self, letter: &DeadLetter) -> Result<()> {
        let partition = letter.partition;
        let cursor = letter.cursor();
        let before = {
            let partitions = self.shard.lock();
            let backing = partitions.get(&partition).map(|owned| &owned.backing);
            let version = Some(&letter.record.sequence);
            let buried = backing.filter(|backing| backing.buried.get(&cursor) == version);
            buried.map(|backing| backing.state().clone())
        };
        let before = before.ok_or_else(|| {
            let message = "the letter does not hold this version any more: look again";
            Error::new(ErrorKind::NotFound, "retry dead letter", message).with("id", &letter.id)
        })?;
        let record = [letter.addressed()];
        self.persistence.store(partition, &record, &before).await?;
        let settled = Buried::from([(cursor.clone(), letter.record.sequence)]);
        self.letters().remove(partition, &settled).await?;
        self.forget_letters(partition, &settled);
        Ok(())
    }
}

/// Whether enough of a partition has gathered to fill a batch.
pub(crate) fn gathered_enough(settings: &Settings, owned: &Owned) -> bool {
    owned.backlog() >= settings.flush_records as u64
        || owned.backing.waiting_bytes() >= settings.flush_bytes as u64
}
