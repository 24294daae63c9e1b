//! The task that writes a worker's partitions to the database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, select_biased};
use grid_core::partition::Budget;
use grid_core::traits::{Journal, Persistence, RecordCursor, Runtime};
use grid_core::{Error, ErrorKind, History, PartitionId, Result};
use tokio::sync::{Notify, mpsc, oneshot};

use super::backoff::Backoff;
use super::batch::Batch;
use super::dead_letters::{Buried, DeadLetter, DeadLetters};
use super::isolate::{Poison, is_poison, isolate};
use crate::config::Settings;
use crate::identity::Identity;
use crate::lifecycle::{Lifecycle, Phase};
use crate::partition_service::{Owned, Shard};

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
    /// Why the database takes nothing now.
    outage: Option<Error>,
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
            let round = self.round(&mut delays, sweeps).await;
            let now = self.runtime.monotonic();
            if sweeps && !round.more {
                next_sweep = now + self.interval();
            }
            // After a failure nothing wakes it early: the database needs the time.
            may_wake = round.outage.is_none();
            wait = if let Some(error) = round.outage {
                let wait = outages.failed(self.runtime.random());
                tracing::warn!(%error, ?wait, "the database takes no changes; trying again");
                next_sweep = now;
                wait.max(self.interval())
            } else if round.more {
                Duration::ZERO
            } else {
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
        select_biased! {
            () = Box::pin(self.lifecycle.reached(Phase::Drained)).fuse() => Event::Drained,
            retry = Box::pin(retry).fuse() => Event::Retry(retry),
            () = Box::pin(wake).fuse() => Event::Due,
            () = self.runtime.sleep(wait).fuse() => Event::Due,
        }
    }

    /// Writes what is left, at a shutdown.
    async fn finish(&self) {
        let mut failures = 0;
        while failures < LAST_TRIES {
            // Each try is for every partition, however often it failed before.
            let mut delays = BTreeMap::new();
            let round = self.round(&mut delays, true).await;
            if let Some(error) = round.outage {
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
    async fn round(&self, delays: &mut BTreeMap<PartitionId, Delay>, sweeps: bool) -> Round {
        let now = self.runtime.monotonic();
        let partitions: Vec<PartitionId> = {
            let partitions = self.shard.lock();
            let wanted = partitions
                .iter()
                .filter(|(_, owned)| sweeps || self.is_wanted(owned));
            wanted.map(|(id, _)| *id).collect()
        };
        let is_due = |id: &PartitionId| delays.get(id).is_none_or(|delay| delay.until <= now);
        let due: Vec<PartitionId> = partitions.into_iter().filter(is_due).collect();
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
                    delays.remove(&partition);
                    round.stored = true;
                    round.more |= matches!(progress, Progress::More);
                }
                Err(error) if error.is_retryable() => round.outage = Some(error),
                Err(error) => {
                    let delay = delays.entry(partition).or_default();
                    let wait = delay.backoff.failed(self.runtime.random());
                    delay.until = now + wait;
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
                self.store_without_poison(partition, &batch).await?
            }
            Err(error) => return Err(error),
        };
        self.unbury(partition, &batch, &poison).await?;
        if let Some(horizon) = batch.mark.collect {
            self.persistence.collect(partition, horizon).await?;
        }
        let level = batch.mark.level.as_ref().map(|level| level.position);
        self.stored(partition, batch, &poison);
        match level {
            Some(position) if self.stores_for_good() => {
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
        self.check_room(partition, poison.len())?;
        let now_ms = self.runtime.now_ms();
        self.letters().bury(partition, &poison, now_ms).await?;
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

    /// # Errors
    /// `Conflict` when the partition would have more letters than it may.
    fn check_room(&self, partition: PartitionId, more: usize) -> Result<()> {
        let partitions = self.shard.lock();
        let owned = partitions.get(&partition);
        let letters = owned.map_or(0, |owned| owned.backing.buried.len()) + more;
        if letters <= self.settings.dead_letters {
            return Ok(());
        }
        let message = "the database refuses so many versions that no more are put aside; retry or \
                       drop some dead letters, or raise `dead_letters`";
        Err(Error::new(ErrorKind::Conflict, "store records", message).with("letters", letters))
    }

    /// Lets go of letters of entries whose later version was stored.
    async fn unbury(&self, partition: PartitionId, batch: &Batch, poison: &[Poison]) -> Result<()> {
        let settled = {
            let mut partitions = self.shard.lock();
            let Some(owned) = partitions.get_mut(&partition) else {
                return Ok(());
            };
            let buried = &owned.backing.buried;
            if buried.is_empty() {
                return Ok(());
            }
            let mut settled = Buried::new();
            for cursor in batch.records.iter().map(RecordCursor::of) {
                if let Some(sequence) = buried.get(&cursor) {
                    settled.insert(cursor, *sequence);
                }
            }
            for each in poison {
                settled.remove(&RecordCursor::of(&each.record));
            }
            settled
        };
        self.letters().remove(partition, &settled).await?;
        if let Some(owned) = self.shard.lock().get_mut(&partition) {
            for cursor in settled.keys() {
                owned.backing.buried.remove(cursor);
            }
        }
        Ok(())
    }

    fn stored(&self, partition: PartitionId, batch: Batch, poison: &[Poison]) {
        if let Some(owned) = self.shard.lock().get_mut(&partition)
            && owned.epoch == batch.epoch
        {
            let buried = poison
                .iter()
                .map(|Poison { record, .. }| (RecordCursor::of(record), record.record.sequence));
            owned.backing.buried.extend(buried);
            owned.backing.stored(batch.mark);
            self.stored.notify_one();
        }
    }

    /// Stores a dead letter where it belongs.
    async fn retry(&self, letter: &DeadLetter) -> Result<()> {
        let partition = letter.partition;
        let cursor = letter.cursor();
        let before = {
            let partitions = self.shard.lock();
            let backing = partitions.get(&partition).map(|owned| &owned.backing);
            let buried = backing.filter(|backing| backing.buried.contains_key(&cursor));
            buried.map(|backing| backing.state().clone())
        };
        let before = before.ok_or_else(|| {
            let message = "there is no such letter any more: a later version was stored";
            Error::new(ErrorKind::NotFound, "retry dead letter", message).with("id", &letter.id)
        })?;
        let record = [letter.addressed()];
        self.persistence.store(partition, &record, &before).await?;
        let settled = Buried::from([(cursor.clone(), letter.record.sequence)]);
        self.letters().remove(partition, &settled).await?;
        if let Some(owned) = self.shard.lock().get_mut(&partition) {
            owned.backing.buried.remove(&cursor);
        }
        Ok(())
    }
}

/// Whether enough of a partition has gathered to fill a batch.
pub(crate) fn gathered_enough(settings: &Settings, owned: &Owned) -> bool {
    owned.backlog() >= settings.flush_records as u64
        || owned.backing.waiting_bytes() >= settings.flush_bytes as u64
}
