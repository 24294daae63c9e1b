//! Which partition is stored next, and how much of it at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use grid_core::partition::Budget;
use grid_core::{Error, ErrorKind, PartitionId};

use super::backoff::Backoff;

/// A whole batch, in the parts by which batches grow.
const WHOLE: usize = 64;

/// The partitions that are to be stored, each in its turn: who has more waits behind the others, so
/// that no partition keeps others back, and of none are two batches under way.
#[derive(Debug)]
pub(super) struct Schedule {
    queue: VecDeque<PartitionId>,
    queued: BTreeSet<PartitionId>,
    under_way: BTreeSet<PartitionId>,
    /// Partitions whose own failures are waited out, and until when, by the monotonic clock.
    delays: BTreeMap<PartitionId, (Backoff, Duration)>,
    outages: Backoff,
    /// The database is left alone until then.
    paused_until: Option<Duration>,
    /// Counts the pauses: what was begun before the last one does not make for another.
    pauses: u32,
    /// How many of [`WHOLE`] parts of a batch are stored at once.
    parts: usize,
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    /// The database is left alone for so long.
    Pause(Duration),
    /// It is left alone already.
    None,
    /// The partition is left alone for so long.
    Delay(Duration),
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            under_way: BTreeSet::new(),
            delays: BTreeMap::new(),
            outages: Backoff::default(),
            paused_until: None,
            pauses: 0,
            parts: WHOLE,
        }
    }

    /// Partitions have something to store. Those that have a batch under way come again when it is
    /// done.
    pub(super) fn add(&mut self, partitions: impl IntoIterator<Item = PartitionId>) {
        for partition in partitions {
            if !self.under_way.contains(&partition) && self.queued.insert(partition) {
                self.queue.push_back(partition);
            }
        }
    }

    /// The partition whose turn it is at `now`; one batch of it is under way then.
    pub(super) fn next(&mut self, now: Duration) -> Option<PartitionId> {
        if self.is_paused(now) {
            return None;
        }
        while let Some(partition) = self.queue.pop_front() {
            self.queued.remove(&partition);
            // One that is left alone comes again with the next sweep.
            let delay = self.delays.get(&partition);
            if delay.is_none_or(|(_, until)| *until <= now) {
                self.under_way.insert(partition);
                return Some(partition);
            }
        }
        None
    }

    /// Whether a batch of the partition is under way.
    pub(super) fn is_under_way(&self, partition: PartitionId) -> bool {
        self.under_way.contains(&partition)
    }

    /// Keeps the partition out of the turns until [`Schedule::release`].
    pub(super) fn hold(&mut self, partition: PartitionId) {
        self.under_way.insert(partition);
        if self.queued.remove(&partition) {
            self.queue.retain(|queued| *queued != partition);
        }
    }

    /// Nothing of the partition is under way any more.
    pub(super) fn release(&mut self, partition: PartitionId) {
        self.under_way.remove(&partition);
    }

    /// A batch of the partition was stored; returns whether it had failed before.
    pub(super) fn succeeded(&mut self, partition: PartitionId) -> bool {
        self.release(partition);
        self.outages.succeeded();
        self.paused_until = None;
        self.parts = WHOLE.min(self.parts + 1);
        self.delays.remove(&partition).is_some()
    }

    /// A batch of the partition that was begun after `pauses` pauses has failed at `now`; `random`
    /// spreads the waits, which last `least` or longer if the database is to be left alone.
    pub(super) fn failed(
        &mut self,
        partition: PartitionId,
        error: &Error,
        pauses: u32,
        now: Duration,
        (random, least): (u64, Duration),
    ) -> Consequence {
        self.release(partition);
        if !error.is_retryable() {
            let (backoff, until) = self.delays.entry(partition).or_default();
            let wait = backoff.failed(random);
            *until = now + wait;
            return Consequence::Delay(wait);
        }
        // The others come first now: it may have been an outage of this partition alone.
        self.add([partition]);
        if pauses != self.pauses {
            return Consequence::None;
        }
        if error.kind() == ErrorKind::Timeout {
            self.parts = (self.parts / 2).max(1);
        }
        self.pauses += 1;
        let wait = self.outages.failed(random).max(least);
        self.paused_until = Some(now + wait);
        Consequence::Pause(wait)
    }

    /// How often the database was left alone.
    pub(super) fn pauses(&self) -> u32 {
        self.pauses
    }

    pub(super) fn is_paused(&self, now: Duration) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }

    /// Until when the database is left alone, if it is.
    pub(super) fn paused_until(&self) -> Option<Duration> {
        self.paused_until
    }

    /// How much is stored at once: a part of the `whole` after calls that took too long.
    pub(super) fn budget(&self, whole: Budget) -> Budget {
        let part = |of: usize| (of / WHOLE * self.parts + of % WHOLE * self.parts / WHOLE).max(1);
        Budget {
            records: part(whole.records),
            bytes: part(whole.bytes),
        }
    }

    /// Failures are not waited out any more.
    pub(super) fn hurry(&mut self) {
        self.delays.clear();
        self.paused_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(10);
    const LATER: Duration = Duration::from_secs(100);
    const SPREAD: (u64, Duration) = (0, Duration::ZERO);

    fn id(number: u16) -> PartitionId {
        PartitionId(number)
    }

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "store", "planned")
    }

    /// Up to ten turns; each batch is under way still.
    fn turns(schedule: &mut Schedule, now: Duration) -> Vec<u16> {
        let next = std::iter::from_fn(|| schedule.next(now));
        next.take(10).map(|id| id.0).collect()
    }

    #[test]
    fn who_has_more_waits_behind_the_others_and_has_one_batch_under_way() {
        let mut schedule = Schedule::new();
        schedule.add([id(1), id(2), id(1)]);
        assert_eq!(schedule.next(NOW), Some(id(1)));
        schedule.add([id(1), id(3)]);
        schedule.succeeded(id(1));
        schedule.add([id(1)]);
        assert_eq!(turns(&mut schedule, NOW), [2, 3, 1]);
    }

    #[test]
    fn an_outage_pauses_all_once_and_tries_others_first() {
        let mut schedule = Schedule::new();
        schedule.add([id(1), id(2), id(3)]);
        assert_eq!(schedule.next(NOW), Some(id(1)));
        assert_eq!(schedule.next(NOW), Some(id(2)));
        let pauses = schedule.pauses();
        let away = error(ErrorKind::Unavailable);
        let first = schedule.failed(id(1), &away, pauses, NOW, SPREAD);
        assert_eq!(first, Consequence::Pause(Duration::from_millis(100)));
        let second = schedule.failed(id(2), &away, pauses, NOW, SPREAD);
        assert_eq!(second, Consequence::None);
        assert_eq!(turns(&mut schedule, NOW), [0; 0]);
        assert_eq!(turns(&mut schedule, LATER), [3, 1, 2]);
        let third = schedule.failed(id(3), &away, schedule.pauses(), LATER, SPREAD);
        assert_eq!(third, Consequence::Pause(Duration::from_millis(200)));
        // It was an outage of some alone.
        schedule.succeeded(id(2));
        assert_eq!(schedule.next(LATER), Some(id(3)));
        let fourth = schedule.failed(id(3), &away, schedule.pauses(), LATER, SPREAD);
        assert_eq!(fourth, Consequence::Pause(Duration::from_millis(100)));
    }

    #[test]
    fn a_failure_of_one_partition_keeps_no_other_back() {
        let mut schedule = Schedule::new();
        let corrupt = error(ErrorKind::Corrupt);
        for wait in [100, 200, 400] {
            schedule.add([id(1), id(2)]);
            assert_eq!(turns(&mut schedule, LATER), [1, 2]);
            let failed = schedule.failed(id(1), &corrupt, schedule.pauses(), NOW, SPREAD);
            assert_eq!(failed, Consequence::Delay(Duration::from_millis(wait)));
            assert!(!schedule.succeeded(id(2)));
        }
        schedule.add([id(1), id(2)]);
        assert_eq!(turns(&mut schedule, NOW), [2], "the first is left alone");
        schedule.add([id(1)]);
        schedule.hurry();
        assert_eq!(turns(&mut schedule, NOW), [1]);
        assert!(!schedule.succeeded(id(1)), "its failures are forgotten");
    }

    #[test]
    fn batches_shrink_by_half_when_calls_take_too_long_and_grow_again_slowly() {
        let whole = Budget {
            records: 1000,
            bytes: 1 << 20,
        };
        let mut schedule = Schedule::new();
        assert_eq!(schedule.budget(whole), whole);
        let late = error(ErrorKind::Timeout);
        for records in [500, 250, 125, 62, 31, 15, 15] {
            schedule.failed(id(1), &late, schedule.pauses(), NOW, SPREAD);
            assert_eq!(schedule.budget(whole).records, records);
        }
        let least = Budget {
            records: 3,
            bytes: 1,
        };
        let one = Budget {
            records: 1,
            bytes: 1,
        };
        assert_eq!(schedule.budget(least), one);
        for _ in 0..31 {
            schedule.succeeded(id(1));
        }
        assert_eq!(schedule.budget(whole).records, 500);
        for _ in 0..99 {
            schedule.succeeded(id(1));
        }
        assert_eq!(schedule.budget(whole), whole);
    }

    #[test]
    fn a_partition_that_is_held_has_no_turn() {
        let mut schedule = Schedule::new();
        schedule.add([id(1), id(2)]);
        schedule.hold(id(1));
        schedule.add([id(1)]);
        assert_eq!(turns(&mut schedule, NOW), [2]);
        schedule.release(id(1));
        schedule.add([id(1)]);
        assert_eq!(turns(&mut schedule, NOW), [1]);
    }
}
