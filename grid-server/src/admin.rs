//! What an operator asks of a running server.

mod health;
mod in_time;
mod metrics;
mod partition_lag;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grid_core::op::Action;
use grid_core::traits::{Persistence, Runtime};
use grid_core::{Error, ErrorKind, History, PartitionId, Result, Stamp};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::config::Settings;
use crate::handle::Handle;
use crate::lifecycle::{Lifecycle, Phase};
use crate::observations::Observations;
use crate::ownership_table::OwnershipTable;
use crate::partition_service::{Owned, Shard};
use crate::worker::closed;
use crate::write_behind::{
    Backing, BacklogBound, Claim, DeadLetter, DeadLetterPage, DeadLetters, Retry, not_found,
    stored_record,
};

pub use health::Health;
pub use metrics::Metrics;
pub use partition_lag::PartitionLag;

use in_time::in_time;

/// Most letters in one answer.
const MAX_LETTERS: usize = 1000;

/// An operator's way into a server. Clones share one server.
///
/// It asks nobody who they are: a program that offers it to others has to.
#[derive(Debug, Clone)]
pub struct Admin(Arc<Office>);

/// What an operator's way in needs of the server.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) desks: Vec<Desk>,
    pub(crate) history: History,
    pub(crate) persistence: Arc<dyn Persistence>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) handle: Handle,
    pub(crate) settings: Arc<Settings>,
    pub(crate) table: Arc<OwnershipTable>,
    pub(crate) observations: Arc<Observations>,
    pub(crate) life: Lifecycle,
    /// One permit for each connection that may be open.
    pub(crate) seats: Arc<Semaphore>,
    /// The number of the last connection that was let in.
    pub(crate) last_session: Arc<AtomicU64>,
}

/// What a worker and its write-behind show to an operator.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) shard: Arc<Shard>,
    pub(crate) retries: mpsc::Sender<Retry>,
}

/// How far the system of record is behind, over all partitions of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Changes that are acknowledged and not stored. A key that changed twice counts twice.
    pub changes: u64,
    /// The bytes that they take up in the journal.
    pub bytes: u64,
    /// How long the oldest of them has been waiting.
    pub oldest: Duration,
    /// Entries whose version the system of record refuses for good.
    pub dead_letters: u64,
}

impl Admin {
    pub(crate) fn new(office: Office) -> Self {
        Self(Arc::new(office))
    }

    /// How far the system of record is behind now.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let now = self.0.runtime.monotonic();
        let mut lag = Lag::default();
        self.each_owned(|owned| lag.add(owned, now));
        lag
    }

    /// Whether the server does all that it should.
    ///
    /// Dead letters are no reason: everything else goes on, and nothing but an operator ends them.
    #[must_use]
    pub fn health(&self) -> Health {
        let office = &*self.0;
        let mut reasons = Vec::new();
        if office.life.has_reached(Phase::Over) {
            reasons.push("the server has ended; its log says why".to_owned());
        } else if office.life.has_reached(Phase::Draining) {
            reasons.push("the server is shutting down".to_owned());
        }
        let wanted = office.table.wanted().len();
        if wanted > 0 {
            let all = office.settings.partition_count;
            reasons.push(format!("{wanted} of {all} partitions are not served yet"));
        }
        let bound = BacklogBound::new(&office.settings);
        let mut full = 0;
        self.each_owned(|owned| full += u64::from(bound.check(owned).is_err()));
        if full > 0 {
            reasons.push(format!(
                "{full} partitions put writes off: as much as may waits for the database"
            ));
        }
        reasons.extend(office.observations.reasons(office.runtime.monotonic()));
        Health { reasons }
    }

    /// The server in numbers.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let office = &*self.0;
        let connections_bound = office.settings.max_connections.min(Semaphore::MAX_PERMITS);
        let mut metrics = Metrics {
            lag: self.lag(),
            backlog_changes_bound: office.settings.backlog_records as u64,
            backlog_bytes_bound: office.settings.backlog_bytes,
            partitions: office.settings.partition_count.into(),
            partitions_wanted: office.table.wanted().len() as u64,
            connections: connections_bound.saturating_sub(office.seats.available_permits()) as u64,
            connections_bound: connections_bound as u64,
            sessions: office.last_session.load(Ordering::Relaxed),
            counts: office.observations.counts(),
            ..Metrics::default()
        };
        self.each_owned(|owned| {
            let backing = &owned.backing;
            metrics.partitions_served += 1;
            metrics.backlog_changes_max = metrics.backlog_changes_max.max(owned.backlog());
            metrics.backlog_bytes_max = metrics.backlog_bytes_max.max(backing.waiting_bytes());
            metrics.journal_batches += owned.tail.0;
            metrics.journal_batches_stored += backing.position().0;
        });
        metrics
    }

    fn each_owned(&self, mut see: impl FnMut(&Owned)) {
        for desk in &self.0.desks {
            desk.shard.lock().values().for_each(&mut see);
        }
    }

    /// Up to `limit` (at most 1,000) dead letters of the whole data set after the one of id
    /// `after`, in the order of their ids; fewer, with more to come, when they are large.
    ///
    /// # Errors
    /// `Invalid` when `after` cannot be the id of a letter; as those of the persistence, and
    /// `Timeout` when that does not answer for 20 seconds.
    pub async fn dead_letters(&self, after: Option<&str>, limit: usize) -> Result<DeadLetterPage> {
        let limit = limit.clamp(1, MAX_LETTERS);
        let letters = self.letters();
        let page = letters.page(after, limit, |letter| self.is_given_up(letter));
        in_time(&*self.0.runtime, "list dead letters", page).await
    }

    /// Stores what a dead letter holds where it belongs, now that the reason of its refusal is
    /// mended, and lets go of the letter.
    ///
    /// # Errors
    /// `NotFound` when there is no such letter, or it was dropped; `Conflict` when another order
    /// for it is under way; `Unavailable` when another node owns its partition; what the
    /// persistence says, when it refuses it again; `Timeout` when that does not answer for 20
    /// seconds.
    pub async fn retry_dead_letter(&self, id: &str) -> Result<()> {
        let retried = self.retry(id);
        in_time(&*self.0.runtime, "retry dead letter", retried).await
    }

    async fn retry(&self, id: &str) -> Result<()> {
        let letter = self.find(id).await?;
        let desk = self.desk_of(letter.partition)?;
        let claim = Claim::take(&desk.shard, &letter)?;
        let (reply, answer) = oneshot::channel();
        let retry = Box::new(letter);
        let order = Retry {
            letter: retry,
            claim,
            reply,
        };
        desk.retries.send(order).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Gives up what a dead letter holds: the entry becomes what the system of record has of it, as
    /// a new version that every client gets. The letter is settled then, and goes from the database
    /// once that version is stored.
    ///
    /// # Errors
    /// `NotFound` when there is no such letter, or it was dropped; `Conflict` when the entry has
    /// changed since, or another order for the letter is under way; `Unavailable` when another node
    /// owns its partition; as those of the persistence, and `Timeout` when that does not answer for
    /// 20 seconds.
    pub async fn drop_dead_letter(&self, id: &str) -> Result<()> {
        let given_up = self.give_up(id);
        let answer = in_time(&*self.0.runtime, "drop dead letter", given_up).await;
        answer.inspect_err(|error| {
            if error.kind() == ErrorKind::Timeout {
                tracing::warn!(id, %error, "whether a dead letter was dropped is not known");
            }
        })
    }

    async fn give_up(&self, id: &str) -> Result<()> {
        let letter = self.find(id).await?;
        let desk = self.desk_of(letter.partition)?;
        let claim = Claim::take(&desk.shard, &letter)?;
        let persistence = &*self.0.persistence;
        let stored = stored_record(persistence, letter.partition, &letter.cursor()).await?;
        let now_ms = self.0.runtime.now_ms();
        let action = match stored {
            Some(record) if record.is_live(now_ms) => Action::Put {
                ttl_ms: record.expires_at_ms.map(|at| at.saturating_sub(now_ms)),
                value: record.value.unwrap_or_default(),
            },
            _ => Action::Remove,
        };
        let is_removed = letter.record.is_tombstone();
        let version = if is_removed {
            Stamp::ZERO
        } else {
            letter.record.stamp
        };
        let key = &letter.record.key;
        let written = self
            .0
            .handle
            .write_as_stored(&letter.address, key, action, Some(version));
        written.await?;
        claim.give_up();
        // What it held is gone for good, so whoever looks for it finds out why.
        tracing::warn!(
            id,
            partition = %letter.partition,
            map = %letter.address,
            sequence = %letter.record.sequence,
            "a dead letter was dropped, as ordered: the entry is what the database has of it"
        );
        Ok(())
    }

    fn letters(&self) -> DeadLetters<'_> {
        DeadLetters::new(&*self.0.persistence, self.0.history)
    }

    async fn find(&self, id: &str) -> Result<DeadLetter> {
        if let Some(letter) = self.letters().find(id).await? {
            if !self.is_late(&letter) {
                return Ok(letter);
            }
            let settled = [(letter.cursor(), letter.record.sequence)].into();
            self.letters().remove(letter.partition, &settled).await?;
        }
        Err(not_found(id))
    }

    /// Whether a letter arrived after its version, or a later one, was stored.
    fn is_late(&self, letter: &DeadLetter) -> bool {
        self.owner_says(letter, |backing| backing.has_settled(letter))
    }

    /// Whether a letter was dropped, and is in the database only for a while.
    fn is_given_up(&self, letter: &DeadLetter) -> bool {
        self.owner_says(letter, |backing| backing.orders.has_given_up(letter))
    }

    fn owner_says(&self, letter: &DeadLetter, says: impl Fn(&Backing) -> bool) -> bool {
        self.0.desks.iter().any(|desk| {
            let partitions = desk.shard.lock();
            let owned = partitions.get(&letter.partition);
            owned.is_some_and(|owned| says(&owned.backing))
        })
    }

    fn desk_of(&self, partition: PartitionId) -> Result<&Desk> {
        let owns = |desk: &&Desk| desk.shard.lock().contains_key(&partition);
        self.0.desks.iter().find(owns).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "find dead letter",
                "another node owns the letter's partition: ask that one",
            )
            .with("partition", partition)
        })
    }
}

impl Lag {
    fn add(&mut self, owned: &Owned, now: Duration) {
        self.changes += owned.backlog();
        self.bytes += owned.backing.waiting_bytes();
        let since = owned.backing.waiting_since();
        let waiting = since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        self.oldest = self.oldest.max(waiting);
        self.dead_letters += owned.backing.buried.len() as u64;
    }
}
