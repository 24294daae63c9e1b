//! Whether the database is away, judged by what becomes of the partitions' batches.

use std::collections::BTreeSet;
use std::time::Duration;

use grid_core::PartitionId;

use super::backoff::Backoff;

/// A database that is away is looked for at least this often.
pub(super) const LONGEST_OUTAGE_WAIT: Duration = Duration::from_secs(5);

/// What the failures of several partitions say of the database: it is left alone for a while once
/// more than one has failed with nothing stored between.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Partitions that failed since something was stored.
    failing: BTreeSet<PartitionId>,
    backoff: Backoff,
    /// The database is left alone until then, by the monotonic clock.
    until: Option<Duration>,
    /// Counts the pauses: what was begun before the last one says nothing of the time after it.
    pauses: u32,
}

impl Outage {
    /// How often the database was left alone.
    pub(super) fn pauses(&self) -> u32 {
        self.pauses
    }

    /// Whether the end of what was begun after `pauses` pauses says something of the database now.
    pub(super) fn is_news(&self, pauses: u32) -> bool {
        pauses == self.pauses
    }

    /// Until when the database is left alone, if it is at `now`.
    pub(super) fn until(&self, now: Duration) -> Option<Duration> {
        self.until.filter(|until| *until > now)
    }

    /// A partition has failed at `now`, in what is news; returns how long the database is left
    /// alone if that means that it is away.
    pub(super) fn failed(
        &mut self,
        partition: PartitionId,
        now: Duration,
        random: u64,
    ) -> Option<Duration> {
        self.failing.insert(partition);
        if self.failing.len() == 1 {
            return None;
        }
        self.pauses += 1;
        let wait = self.backoff.failed(random).min(LONGEST_OUTAGE_WAIT);
        self.until = Some(now + wait);
        Some(wait)
    }

    /// Something was stored, in what is news: the database is there. Returns the partitions that
    /// have failed meanwhile.
    pub(super) fn ended(&mut self) -> BTreeSet<PartitionId> {
        self.backoff.succeeded();
        self.until = None;
        std::mem::take(&mut self.failing)
    }

    /// The partitions that failed since something was stored.
    pub(super) fn failing(&self) -> impl Iterator<Item = &PartitionId> {
        self.failing.iter()
    }

    /// The failure of a partition says nothing any more.
    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.failing.remove(&partition);
    }

    /// The database is not left alone any more.
    pub(super) fn hurry(&mut self) {
        self.until = None;
    }
}
