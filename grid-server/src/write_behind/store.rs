//! Storing one batch of a partition, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use grid_core::mutation::{Mutation, planted};
use grid_core::partition::Budget;
use grid_core::traits::{
    AddressedRecord, Epoch, Journal, Persistence, Position, RecordCursor, Runtime,
};
use grid_core::{Error, ErrorKind, History, PartitionId, Result, Sequence};
use tokio::sync::Notify;

use super::backing::Backing;
use super::batch::Batch;
use super::dead_letters::{Buried, DeadLetter, DeadLetters};
use super::isolate::{Poison, is_poison, isolate};
use crate::config::Settings;
use crate::observations::Observations;
use crate::partition_service::{Owned, Shard, fenced};

/// How long tombstones stay after the database did not let go of them.
const COLLECT_AGAIN: Duration = Duration::from_secs(60);

/// Stores the partitions of one worker, a batch at a time.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) shard: Arc<Shard>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) persistence: Arc<dyn Persistence>,
    pub(crate) history: History,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Arc<Settings>,
    /// Wakes the worker when a partition was stored.
    pub(crate) stored: Arc<Notify>,
    pub(crate) observations: Arc<Observations>,
}

/// What became of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The pass is over.
    Level,
    /// There is more of it.
    More,
}

impl Store {
    /// The partitions that have much to store, or that somebody waits for; with `all`, those that
    /// have anything.
    pub(super) fn wanted(&self, all: bool) -> Vec<PartitionId> {
        let partitions = self.shard.lock();
        let wanted = partitions
            .iter()
            .filter(|(_, owned)| all && owned.has_unstored() || self.is_urgent(owned));
        wanted.map(|(id, _)| *id).collect()
    }

    /// Whether a partition has much to store, or somebody waits for it.
    pub(super) fn is_wanted(&self, partition: PartitionId) -> bool {
        let partitions = self.shard.lock();
        let owned = partitions.get(&partition);
        owned.is_some_and(|owned| self.is_urgent(owned))
    }

    fn is_urgent(&self, owned: &Owned) -> bool {
        let is_wanted = owned.backing.is_urgent() || gathered_enough(&self.settings, owned);
        is_wanted && owned.has_unstored()
    }

    /// The next batch of a partition; none if the database has everything, or is not known well
    /// enough.
    pub(super) fn batch(&self, partition: PartitionId, budget: Budget) -> Option<Batch> {
        let now = self.runtime.monotonic();
        let mut partitions = self.shard.lock();
        Batch::of(partitions.get_mut(&partition)?, budget, now)
    }

    /// Whether the journal may forget what was stored: it promised to survive a power cut.
    pub(super) fn stores_for_good(&self) -> bool {
        self.persistence.capabilities().survives_power_loss
    }

    /// Stores a batch.
    ///
    /// # Errors
    /// As those of the persistence; `Conflict` when there are too many dead letters.
    pub(super) async fn store(&self, partition: PartitionId, batch: Batch) -> Result<Progress> {
        let poison = self.store_records(partition, &batch).await?;
        self.unbury(partition, &batch, &poison).await?;
        let refused = poison.len() as u64;
        self.observations.count(|counts| {
            counts.stored_batches += 1;
            counts.stored_records += batch.records.len() as u64 - refused;
            counts.refused_versions += refused;
        });
        let may_forget = self.stored(partition, &batch);
        // What is stored is told at once: a database that does not let go of tombstones holds
        // nobody up.
        if let Some(horizon) = batch.collects()
            && let Err(error) = self.collect(partition, &batch, horizon).await
        {
            tracing::warn!(%partition, %error, "tombstones stay in the database until a later try");
            self.collect_later(partition);
        }
        let Some(goal) = batch.completes else {
            return Ok(Progress::More);
        };
        if may_forget && self.stores_for_good() {
            let truncated = self.journal.truncate(partition, goal.position).await;
            if let Err(error) = truncated {
                tracing::warn!(%partition, %error, "the journal keeps what is stored for now");
            }
        }
        Ok(Progress::Level)
    }

    /// Has the database forget tombstones no sooner than in a while.
    fn collect_later(&self, partition: PartitionId) {
        let not_before = self.runtime.monotonic() + COLLECT_AGAIN;
        if let Some(owned) = self.shard.lock().get_mut(&partition) {
            owned.backing.collect_not_before = not_before;
        }
    }

    /// Has the database forget tombstones.
    async fn collect(
        &self,
        partition: PartitionId,
        batch: &Batch,
        horizon: Sequence,
    ) -> Result<()> {
        self.discard_late_letters(partition, batch, horizon).await?;
        self.persistence.collect(partition, horizon).await?;
        let mut partitions = self.shard.lock();
        let owned = partitions.get_mut(&partition);
        if let Some(owned) = owned.filter(|owned| owned.epoch == batch.epoch) {
            owned.backing.collect(horizon);
        }
        Ok(())
    }

    /// Stores records and state, except what the database refuses for good.
    async fn store_records(&self, partition: PartitionId, batch: &Batch) -> Result<Vec<Poison>> {
        let stored = self.store_with_state(partition, batch, &batch.records);
        match stored.await {
            Ok(()) => Ok(Vec::new()),
            Err(error) if is_poison(&error) && !batch.records.is_empty() => {
                self.store_without_poison(partition, batch).await
            }
            Err(error) => Err(error),
        }
    }

    /// Stores `records` with the batch's state, which is in doubt if that fails otherwise than
    /// because of what was to be stored.
    async fn store_with_state(
        &self,
        partition: PartitionId,
        batch: &Batch,
        records: &[AddressedRecord],
    ) -> Result<()> {
        let stored = self.persistence.store(partition, records, batch.state());
        stored.await.inspect_err(|error| {
            if let Some(goal) = &batch.completes
                && !is_poison(error)
            {
                self.in_doubt(partition, goal.state.sequence, goal.position);
            }
        })
    }

    fn letters(&self) -> DeadLetters<'_> {
        DeadLetters::new(&*self.persistence, self.history)
    }

    /// Stores what can be stored of a batch, and the rest as dead letters; then the state that goes
    /// with both.
    async fn store_without_poison(
        &self,
        partition: PartitionId,
        batch: &Batch,
    ) -> Result<Vec<Poison>> {
        let Batch {
            epoch,
            records,
            before,
            ..
        } = batch;
        let mut new = 0;
        let admit = |record: &_| self.admit(partition, *epoch, record, &mut new);
        let poison = isolate(&*self.persistence, partition, records, before, admit).await?;
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
        self.store_with_state(partition, batch, &[]).await?;
        Ok(poison)
    }

    /// Whether there is room for the letter of one more entry, beside `new` ones that were found
    /// before; counts it among them.
    ///
    /// # Errors
    /// `Conflict` when the partition would have more letters than it may, `Unavailable` when it has
    /// another owner by now.
    fn admit(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        record: &AddressedRecord,
        new: &mut usize,
    ) -> Result<()> {
        let partitions = self.shard.lock();
        let owned = partitions.get(&partition);
        let owned = owned.filter(|owned| owned.epoch == epoch);
        let buried = &owned.ok_or_else(|| fenced(partition))?.backing.buried;
        *new += usize::from(!buried.contains_key(&RecordCursor::of(record)));
        let letters = buried.len() + *new;
        if letters <= self.settings.dead_letters {
            return Ok(());
        }
        let message = "the database refuses so many versions that no more are put aside; retry or \
                       drop some dead letters, or raise `dead_letters`";
        Err(Error::new(ErrorKind::Conflict, "store records", message).with("letters", letters))
    }

    /// Takes note of letters before they are written: whatever becomes of the calls until the state
    /// is stored, a later version of the entry settles its letter.
    ///
    /// # Errors
    /// `Unavailable` when the partition has another owner by now.
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
        buried.extend(coming);
        Ok(())
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

    /// Lets go of letters of versions up to `horizon` that nobody here has written. A call of a
    /// former owner, or one that gave no answer, was still on its way when a later version was
    /// stored. If that is a tombstone, nothing but it shows a start that the letter is of the past.
    async fn discard_late_letters(
        &self,
        partition: PartitionId,
        batch: &Batch,
        horizon: Sequence,
    ) -> Result<()> {
        let mut late = self.letters().up_to(partition, horizon).await?;
        {
            let partitions = self.shard.lock();
            let owned = partitions.get(&partition);
            let Some(owned) = owned.filter(|owned| owned.epoch == batch.epoch) else {
                return Err(fenced(partition));
            };
            late.retain(|cursor, _| !owned.backing.buried.contains_key(cursor));
        }
        self.letters().remove(partition, &late).await
    }

    fn forget_letters(&self, partition: PartitionId, settled: &Buried) {
        if let Some(owned) = self.shard.lock().get_mut(&partition) {
            let Backing { buried, orders, .. } = &mut owned.backing;
            buried.retain(|cursor, sequence| settled.get(cursor) != Some(sequence));
            orders.keep(buried);
        }
    }

    /// Takes note of what was stored; returns whether the journal may forget what came before it.
    fn stored(&self, partition: PartitionId, batch: &Batch) -> bool {
        let mut partitions = self.shard.lock();
        let owned = partitions.get_mut(&partition);
        let Some(owned) = owned.filter(|owned| owned.epoch == batch.epoch) else {
            return false;
        };
        self.stored.notify_one();
        owned.partition.piece_stored(batch.end);
        if let Some(goal) = batch.completes.clone() {
            return owned.backing.reached(goal);
        }
        owned.backing.piece_stored(batch.end.through());
        false
    }

    /// Takes note of a state record that may still be stored, if the journal is ever to be trimmed.
    fn in_doubt(&self, partition: PartitionId, sequence: Sequence, position: Position) {
        if !self.stores_for_good() {
            return;
        }
        if let Some(owned) = self.shard.lock().get_mut(&partition) {
            owned.backing.doubt(sequence, position);
        }
    }

    /// Stores a dead letter where it belongs.
    pub(super) async fn retry(&self, letter: &DeadLetter) -> Result<()> {
        let partition = letter.partition;
        let cursor = letter.cursor();
        let before = {
            let partitions = self.shard.lock();
            let backing = partitions.get(&partition).map(|owned| &owned.backing);
            let version = Some(&letter.record.sequence);
            let buried = backing.filter(|backing| backing.buried.get(&cursor) == version);
            buried.map(|backing| (backing.state().clone(), backing.position()))
        };
        let (before, position) = before.ok_or_else(|| {
            let message = "the letter does not hold this version any more: look again";
            Error::new(ErrorKind::NotFound, "retry dead letter", message).with("id", &letter.id)
        })?;
        let record = [letter.addressed()];
        let stored = self.persistence.store(partition, &record, &before).await;
        stored.inspect_err(|error| {
            if !is_poison(error) {
                self.in_doubt(partition, before.sequence, position);
            }
        })?;
        let settled = Buried::from([(cursor.clone(), letter.record.sequence)]);
        self.letters().remove(partition, &settled).await?;
        self.forget_letters(partition, &settled);
        tracing::info!(
            id = letter.id,
            %partition,
            map = %letter.address,
            sequence = %letter.record.sequence,
            "a dead letter was stored where it belongs, as ordered"
        );
        Ok(())
    }
}

/// Whether enough of a partition has gathered to fill a batch.
pub(crate) fn gathered_enough(settings: &Settings, owned: &Owned) -> bool {
    owned.backlog() >= settings.flush_records as u64
        || owned.backing.waiting_bytes() >= settings.flush_bytes as u64
}
