//! Which partition is stored next, and how much of it at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use grid_core::partition::Budget;
use grid_core::{Error, ErrorKind, PartitionId};

use super::backoff::Backoff;
use super::outage::{LONGEST_OUTAGE_WAIT, Outage};

/// A whole batch, in the parts by which batches grow.
const WHOLE: usize = 64;
/// Partitions that failed last of which batches are under way while others have their turn.
const SICK_AT_ONCE: usize = 2;

/// The partitions that are to be stored, each in its turn: who has more waits behind the others, so
/// that no partition keeps others back, and of none are two batches under way.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    queue: VecDeque<PartitionId>,
    queued: BTreeSet<PartitionId>,
    under_way: BTreeSet<PartitionId>,
    /// Partitions that have failed.
    ailing: BTreeMap<PartitionId, Ailing>,
    outage: Outage,
}

/// What is known of a partition that has failed.
#[derive(Debug)]
struct Ailing {
    backoff: Backoff,
    /// It is left alone until then, by the monotonic clock; zero if the last batch was stored.
    until: Duration,
    /// For how long it was left alone last.
    wait: Duration,
    /// Its turn came meanwhile.
    waits: bool,
    /// How many of [`WHOLE`] parts of a batch are stored at once.
    parts: usize,
}

impl Ailing {
    fn new() -> Self {
        Self {
            backoff: Backoff::default(),
            until: Duration::ZERO,
            wait: Duration::ZERO,
            waits: false,
            parts: WHOLE,
        }
    }
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    /// The database is left alone for so long.
    Pause(Duration),
    /// It is left alone already.
    Known,
    /// The partition is left alone for so long.
    Delay(Duration),
}

impl Schedule {
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
        if self.paused_until(now).is_some() {
            return None;
        }
        let sick = self
            .under_way
            .iter()
            .filter(|id| self.is_sick(**id))
            .count();
        let may_be_sick = sick < SICK_AT_ONCE || self.queue.iter().all(|id| self.is_sick(*id));
        for _ in 0..self.queue.len() {
            let partition = self.queue.pop_front()?;
            if !may_be_sick && self.is_sick(partition) {
                self.queue.push_back(partition);
                continue;
            }
            self.queued.remove(&partition);
            match self.ailing.get_mut(&partition) {
                Some(ailing) if ailing.until > now => ailing.waits = true,
                _ => {
                    self.under_way.insert(partition);
                    return Some(partition);
                }
            }
        }
        None
    }

    /// Whether the last batch of the partition failed.
    fn is_sick(&self, partition: PartitionId) -> bool {
        let ailing = self.ailing.get(&partition);
        ailing.is_some_and(|ailing| ailing.until > Duration::ZERO)
    }

    /// Whether no other partition has a turn.
    pub(super) fn is_alone(&self, partition: PartitionId) -> bool {
        let mut all = self.queue.iter().chain(&self.under_way);
        all.all(|id| *id == partition)
    }

    /// Forgets the failures of partitions that are not `wanted` any more; returns which these are.
    pub(super) fn forget_unless(&mut self, wanted: &[PartitionId]) -> Vec<PartitionId> {
        let is_wanted = |id: &PartitionId| wanted.binary_search(id).is_ok();
        let ailing = self.ailing.keys().filter(|id| !self.under_way.contains(id));
        let gone: Vec<PartitionId> = ailing.filter(|id| !is_wanted(id)).copied().collect();
        for partition in &gone {
            self.ailing.remove(partition);
            self.outage.forget(*partition);
        }
        gone
    }

    /// Those that were left alone and whose time has come at `now` have their turn again.
    pub(super) fn resume(&mut self, now: Duration) {
        let due = self.ailing.iter_mut();
        let due = due.filter(|(_, ailing)| ailing.waits && ailing.until <= now);
        let due: Vec<PartitionId> = due
            .map(|(id, ailing)| {
                ailing.waits = false;
                *id
            })
            .collect();
        self.add(due);
    }

    /// When the first of those that are left alone, and wait, has its turn again.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let waiting = self.ailing.values().filter(|ailing| ailing.waits);
        waiting.map(|ailing| ailing.until).min()
    }

    /// Until when the database is left alone, if it is at `now`.
    pub(super) fn paused_until(&self, now: Duration) -> Option<Duration> {
        self.outage.until(now)
    }

    /// Whether nothing has a turn, or waits for one.
    pub(super) fn is_empty(&self) -> bool {
        let waits = |ailing: &Ailing| ailing.waits;
        self.queue.is_empty() && self.under_way.is_empty() && !self.ailing.values().any(waits)
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

    /// A batch of the partition that was begun after `pauses` pauses was stored at `now`; returns
    /// whether the one before it had failed.
    pub(super) fn succeeded(&mut self, partition: PartitionId, pauses: u32, now: Duration) -> bool {
        self.release(partition);
        if self.is_news(pauses) {
            // What failed with the database away waits by itself.
            for id in self.outage.ended() {
                if let Some(ailing) = self.ailing.get_mut(&id) {
                    ailing.until = ailing.until.max(now + ailing.wait);
                }
            }
        }
        let was_sick = self.is_sick(partition);
        if let Some(ailing) = self.ailing.get_mut(&partition) {
            (ailing.until, ailing.waits) = (Duration::ZERO, false);
            ailing.backoff.succeeded();
            ailing.parts += 1;
            if ailing.parts > WHOLE {
                self.ailing.remove(&partition);
            }
        }
        was_sick
    }

    /// Whether the end of what was begun after `pauses` pauses says something of the database now.
    pub(super) fn is_news(&self, pauses: u32) -> bool {
        self.outage.is_news(pauses)
    }

    /// A batch of the partition that was begun after `pauses` pauses has failed at `now`; `random`
    /// spreads the waits.
    pub(super) fn failed(
        &mut self,
        partition: PartitionId,
        error: &Error,
        pauses: u32,
        now: Duration,
        random: u64,
    ) -> Consequence {
        let (is_news, is_paused) = (self.is_news(pauses), self.paused_until(now).is_some());
        self.release(partition);
        // The others come first now: it may have been a failure of this partition alone.
        self.add([partition]);
        if error.is_retryable() && !is_news && is_paused {
            return Consequence::Known;
        }
        let ailing = self.ailing.entry(partition).or_insert_with(Ailing::new);
        ailing.wait = ailing.backoff.failed(random);
        if error.is_retryable() {
            ailing.wait = ailing.wait.min(LONGEST_OUTAGE_WAIT);
        }
        ailing.until = now + ailing.wait;
        if error.is_retryable()
            && is_news
            && let Some(wait) = self.outage.failed(partition, now, random)
        {
            // One wait for all of them, so that the first try after it is not kept from any.
            for id in self.outage.failing() {
                if let Some(ailing) = self.ailing.get_mut(id) {
                    ailing.until = now;
                }
            }
            return Consequence::Pause(wait);
        }
        if error.kind() == ErrorKind::Timeout {
            ailing.parts = (ailing.parts / 2).max(1);
        }
        Consequence::Delay(ailing.wait)
    }

    /// How often the database was left alone.
    pub(super) fn pauses(&self) -> u32 {
        self.outage.pauses()
    }

    /// How much of the partition is stored at once: a part of the `whole` after calls that took too
    /// long.
    pub(super) fn budget(&self, partition: PartitionId, whole: Budget) -> Budget {
        let parts = self
            .ailing
            .get(&partition)
            .map_or(WHOLE, |ailing| ailing.parts);
        let part = |of: usize| (of / WHOLE * parts + of % WHOLE * parts / WHOLE).max(1);
        Budget {
            records: part(whole.records),
            bytes: part(whole.bytes),
        }
    }

    /// Failures are not waited out any more.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.outage.hurry();
        for ailing in self.ailing.values_mut() {
            ailing.until = ailing.until.min(now);
        }
        self.resume(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(10);
    const LATER: Duration = Duration::from_secs(100);

    fn id(number: u16) -> PartitionId {
        PartitionId(number)
    }

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "store", "planned")
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A partition fails at `now`, in a batch that was begun just before.
    fn fails(schedule: &mut Schedule, number: u16, kind: ErrorKind, now: Duration) -> Consequence {
        let pauses = schedule.pauses();
        schedule.failed(id(number), &error(kind), pauses, now, 0)
    }

    fn succeeds(schedule: &mut Schedule, number: u16) -> bool {
        let pauses = schedule.pauses();
        schedule.succeeded(id(number), pauses, NOW)
    }

    /// Up to ten turns; each batch is under way still.
    fn turns(schedule: &mut Schedule, now: Duration) -> Vec<u16> {
        let next = std::iter::from_fn(|| schedule.next(now));
        next.take(10).map(|id| id.0).collect()
    }

    #[test]
    fn who_has_more_waits_behind_the_others_and_has_one_batch_under_way() {
        let mut schedule = Schedule::default();
        schedule.add([id(1), id(2), id(1)]);
        assert_eq!(schedule.next(NOW), Some(id(1)));
        schedule.add([id(1), id(3)]);
        succeeds(&mut schedule, 1);
        schedule.add([id(1)]);
        assert_eq!(turns(&mut schedule, NOW), [2, 3, 1]);
        assert!(!schedule.is_empty());
    }

    #[test]
    fn an_outage_pauses_all_once_and_tries_others_first() {
        let mut schedule = Schedule::default();
        schedule.add([id(1), id(2), id(3), id(4)]);
        for number in 1..=3 {
            assert_eq!(schedule.next(NOW), Some(id(number)));
        }
        let away = error(ErrorKind::Unavailable);
        let first = schedule.failed(id(1), &away, 0, NOW, 0);
        assert_eq!(
            first,
            Consequence::Delay(ms(100)),
            "it may be alone with it"
        );
        let second = schedule.failed(id(2), &away, 0, NOW, 0);
        assert_eq!(second, Consequence::Pause(ms(100)));
        let third = schedule.failed(id(3), &away, 0, NOW, 0);
        assert_eq!(third, Consequence::Known);
        assert_eq!(schedule.paused_until(NOW), Some(NOW + ms(100)));
        assert_eq!(turns(&mut schedule, NOW), [0; 0]);
        assert_eq!(turns(&mut schedule, NOW + ms(100)), [4, 1, 2, 3]);
        let fourth = fails(&mut schedule, 4, ErrorKind::Unavailable, LATER);
        assert_eq!(fourth, Consequence::Pause(ms(200)));
        // What was begun before the pause says nothing.
        assert!(schedule.succeeded(id(1), 1, LATER));
        assert!(schedule.paused_until(LATER).is_some());
        let later = LATER + ms(200);
        assert_eq!(turns(&mut schedule, later), [4]);
        succeeds(&mut schedule, 4);
        let alone = fails(&mut schedule, 2, ErrorKind::Unavailable, later);
        assert!(matches!(alone, Consequence::Delay(_)), "{alone:?}");
    }

    #[test]
    fn a_database_that_is_away_is_looked_for_every_few_seconds() {
        let mut schedule = Schedule::default();
        for _ in 0..20 {
            for number in [1, 2] {
                let (Consequence::Pause(wait) | Consequence::Delay(wait)) =
                    fails(&mut schedule, number, ErrorKind::Unavailable, NOW)
                else {
                    panic!("it is known");
                };
                assert!(wait <= LONGEST_OUTAGE_WAIT);
            }
        }
    }

    #[test]
    fn a_failure_of_one_partition_keeps_no_other_back_and_is_waited_out_without_a_sweep() {
        for kind in [ErrorKind::Corrupt, ErrorKind::Unavailable] {
            let mut schedule = Schedule::default();
            let mut now = NOW;
            for wait in [100, 200, 400] {
                schedule.add([id(1), id(2)]);
                assert_eq!(turns(&mut schedule, now), [1, 2]);
                let failed = fails(&mut schedule, 1, kind, now);
                assert_eq!(failed, Consequence::Delay(ms(wait)));
                assert!(!succeeds(&mut schedule, 2));
                schedule.add([id(2)]);
                assert_eq!(turns(&mut schedule, now), [2], "the first is left alone");
                succeeds(&mut schedule, 2);
                assert_eq!(schedule.deadline(), Some(now + ms(wait)));
                now += ms(wait);
                schedule.resume(now);
            }
            assert_eq!(turns(&mut schedule, now), [1]);
            assert!(succeeds(&mut schedule, 1));
            assert!(!succeeds(&mut schedule, 1), "its failures are over");
            assert!(schedule.is_empty());
        }
    }

    #[test]
    fn sick_partitions_do_not_take_up_all_that_is_under_way() {
        let mut schedule = Schedule::default();
        for number in [1, 2, 3] {
            fails(&mut schedule, number, ErrorKind::Corrupt, NOW);
        }
        schedule.add([id(4), id(5)]);
        assert_eq!(
            turns(&mut schedule, LATER),
            [1, 2, 4, 5, 3],
            "3 when no other is left"
        );
    }

    #[test]
    fn what_is_not_wanted_any_more_is_forgotten() {
        let mut schedule = Schedule::default();
        for number in [1, 2, 3] {
            fails(&mut schedule, number, ErrorKind::Corrupt, NOW);
        }
        assert_eq!(schedule.next(LATER), Some(id(1)));
        assert_eq!(schedule.forget_unless(&[id(2)]), [id(3)], "1 is under way");
        assert_eq!(schedule.ailing.len(), 2);
    }

    #[test]
    fn at_the_end_nothing_is_waited_out() {
        let mut schedule = Schedule::default();
        fails(&mut schedule, 1, ErrorKind::Corrupt, NOW);
        assert_eq!(turns(&mut schedule, NOW), [0; 0]);
        schedule.hurry(NOW);
        assert_eq!(turns(&mut schedule, NOW), [1]);
    }

    #[test]
    fn a_partitions_batches_shrink_by_half_when_calls_take_too_long_and_grow_again_slowly() {
        let whole = Budget {
            records: 1000,
            bytes: 1 << 20,
        };
        let mut schedule = Schedule::default();
        assert_eq!(schedule.budget(id(1), whole), whole);
        for records in [500, 250, 125, 62, 31, 15, 15] {
            fails(&mut schedule, 1, ErrorKind::Timeout, NOW);
            assert_eq!(schedule.budget(id(1), whole).records, records);
        }
        assert_eq!(schedule.budget(id(2), whole), whole, "the others'");
        let least = Budget {
            records: 3,
            bytes: 1,
        };
        let one = Budget {
            records: 1,
            bytes: 1,
        };
        assert_eq!(schedule.budget(id(1), least), one);
        for _ in 0..31 {
            succeeds(&mut schedule, 1);
        }
        assert_eq!(schedule.budget(id(1), whole).records, 500);
        for _ in 0..33 {
            succeeds(&mut schedule, 1);
        }
        assert_eq!(schedule.budget(id(1), whole), whole);
        assert!(schedule.ailing.is_empty());
    }

    #[test]
    fn a_partition_that_is_held_has_no_turn() {
        let mut schedule = Schedule::default();
        schedule.add([id(1), id(2)]);
        schedule.hold(id(1));
        schedule.add([id(1)]);
        assert_eq!(turns(&mut schedule, NOW), [2]);
        schedule.release(id(1));
        schedule.add([id(1)]);
        assert_eq!(turns(&mut schedule, NOW), [1]);
    }
}
