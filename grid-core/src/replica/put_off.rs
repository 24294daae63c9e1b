//! A run of which the server put ops off: when it comes back, and with how much.

use std::time::Duration;

use crate::op::RunId;

/// The longest that a server can make a client wait before it pushes again.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
/// The longest wait that a client adds of itself: so late it may be that it finds a server that is
/// well again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(4);
/// How often a run comes back with all that it has; then with its first op alone.
const WHOLE_TRIES: u32 = 1;
/// How long the rest waits for an answer to that op at first, and then twice as long after each
/// refusal, up to [`LONGEST_BACKOFF`]: refusals may be late. An op that the server took may have no
/// answer for long: its verdict waits for the database.
const LONE_PATIENCE: Duration = Duration::from_secs(1);

/// What a run does that was put off. It is remembered once the op that it came back with has its
/// verdict, because that may not hold: the next refusal says whether it did.
#[derive(Debug, Default)]
pub(super) struct PutOff {
    /// The first op that was put off since the run was pushed last.
    from: Option<u64>,
    /// It comes back no sooner.
    until: Option<Duration>,
    /// How often in a row the op that it came back with was put off, or another before that was
    /// taken.
    refusals: u32,
    /// How often that was when it came back.
    refusals_before: u32,
    /// The op that it came back with.
    first: u64,
    /// Whether that op has a verdict since.
    is_taken: bool,
    /// Whether such a verdict did not hold: the next one proves nothing.
    was_revoked: bool,
    /// The rest of it follows no sooner, unless that op is taken.
    opens_at: Option<Duration>,
}

impl PutOff {
    /// The server took nothing from the op `from` on, and names a wait.
    pub(super) fn refused(&mut self, run: RunId, from: u64, asked: Duration, now: Duration) {
        let asked = asked.min(LONGEST_ASKED);
        if from <= self.first && std::mem::take(&mut self.is_taken) {
            self.was_revoked = true;
        }
        let refusals = if self.is_taken {
            self.was_revoked = false;
            1
        } else {
            self.refusals_before.saturating_add(1)
        };
        // Each worker tells of its own.
        let is_first_word = self.from.is_none();
        let wait = if is_first_word || refusals > self.refusals {
            wait(run, refusals, asked)
        } else {
            asked
        };
        self.from = Some(self.from.map_or(from, |first| first.min(from)));
        self.refusals = refusals;
        self.opens_at = None;
        let until = now + wait;
        self.until = Some(self.until.map_or(until, |old| old.max(until)));
    }

    /// How many ops of the run may go out now.
    pub(super) fn room(&self, now: Duration) -> usize {
        let is_early = |at: Option<Duration>| at.is_some_and(|at| now < at);
        if is_early(self.until) || is_early(self.opens_at) {
            0
        } else if self.from.is_some() && self.refusals > WHOLE_TRIES {
            1
        } else {
            usize::MAX
        }
    }

    /// The run is pushed, with `first` before all else. Returns the op that the server waits for,
    /// if it comes back with that.
    pub(super) fn pushed(&mut self, first: u64, now: Duration) -> Option<u64> {
        let from = self.from.take()?;
        self.first = first;
        self.is_taken = false;
        self.refusals_before = self.refusals;
        self.until = None;
        let lone = self.refusals.checked_sub(WHOLE_TRIES + 1);
        self.opens_at = lone.map(|tries| now + doubled(LONE_PATIENCE, tries));
        Some(from)
    }

    /// The op `number` has its verdict. Of the one that the run came back with that says that the
    /// server takes ops again, and the rest may follow; so it does of what was put off meanwhile,
    /// behind that op.
    pub(super) fn decided(&mut self, number: u64) {
        if number != self.first {
            return;
        }
        self.is_taken = true;
        if self.from.is_some() {
            self.refusals = 1;
        }
        if !self.was_revoked {
            self.opens_at = None;
        }
    }

    /// When there is room again, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.until.or(self.opens_at)
    }

    /// Forgets what is due.
    pub(super) fn tick(&mut self, now: Duration) {
        for at in [&mut self.until, &mut self.opens_at] {
            if at.is_some_and(|at| at <= now) {
                *at = None;
            }
        }
    }
}

/// The wait after so many refusals in a row: as long as was asked for after the first, and then
/// twice as long each time, up to a bound, of which chance takes off up to a half: clients that
/// were put off together do not come back together.
fn wait(run: RunId, refusals: u32, asked: Duration) -> Duration {
    let step = doubled(asked, refusals.saturating_sub(1));
    let half = step / 2;
    let spread = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    let random = mixed(run.0.wrapping_add(refusals.into()));
    let wait = half + Duration::from_nanos(random % spread.saturating_add(1));
    wait.max(asked)
}

/// A time that doubles as often, up to the longest back-off.
fn doubled(time: Duration, times: u32) -> Duration {
    time.saturating_mul(1 << times.min(16)).min(LONGEST_BACKOFF)
}

/// A run's number is random; this makes another of it for each wait (splitmix64, of Steele, Lea and
/// Flood, "Fast splittable pseudorandom number generators").
fn mixed(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Duration = Duration::from_millis(250);

    #[test]
    fn waits_grow_to_the_bound_and_are_spread_and_never_shorter_than_was_asked_for() {
        for number in 0..50 {
            let run = RunId(number);
            assert_eq!(wait(run, 1, ASKED), ASKED, "the server knows best at first");
            for refusals in 1..80 {
                let wait_now = wait(run, refusals, ASKED);
                assert!(
                    (ASKED..=LONGEST_BACKOFF).contains(&wait_now),
                    "{wait_now:?}"
                );
                let minute = Duration::from_secs(60);
                assert_eq!(wait(run, refusals, minute), minute);
                assert_eq!(wait(run, refusals, Duration::ZERO), Duration::ZERO);
            }
        }
        let mut waits: Vec<_> = (0..1_000).map(|run| wait(RunId(run), 9, ASKED)).collect();
        waits.sort_unstable();
        assert!(waits[0] < LONGEST_BACKOFF.mul_f64(0.52), "{waits:?}");
        assert!(waits[999] > LONGEST_BACKOFF.mul_f64(0.98), "{waits:?}");
    }

    #[test]
    fn a_run_comes_back_whole_once_and_then_with_one_op_until_that_is_taken() {
        let at = Duration::from_millis;
        let mut put_off = PutOff::default();
        put_off.refused(RunId(1), 7, ASKED, at(0));
        put_off.refused(RunId(1), 5, ASKED, at(10));
        assert_eq!(put_off.deadline(), Some(at(260)));
        assert_eq!(
            (put_off.room(at(259)), put_off.room(at(260))),
            (0, usize::MAX)
        );
        assert_eq!(put_off.pushed(5, at(260)), Some(5));
        assert_eq!(put_off.pushed(9, at(260)), None);
        assert_eq!(put_off.room(at(260)), usize::MAX);

        put_off.refused(RunId(1), 5, ASKED, at(300));
        let back = put_off.deadline().unwrap();
        assert_eq!((put_off.room(back - at(1)), put_off.room(back)), (0, 1));
        put_off.tick(back);
        assert_eq!(put_off.pushed(6, back), Some(5), "5 has its verdict");
        assert_eq!(put_off.room(back), 0);
        // Nobody says anything: the op waits for the database, and the others need not.
        let opens = put_off.deadline().unwrap();
        assert_eq!(opens, back + LONE_PATIENCE);
        assert_eq!(put_off.room(opens), usize::MAX);
        put_off.tick(opens);
        assert_eq!(put_off.deadline(), None);
        put_off.refused(RunId(1), 7, ASKED, opens);
        let again = put_off.deadline().unwrap();
        assert_eq!(put_off.room(again), 1);
    }

    /// A verdict at the level `memory` is told before anybody knows whether it holds.
    #[test]
    fn a_refusal_counts_on_from_those_before_a_verdict_that_did_not_hold() {
        let at = Duration::from_secs;
        let mut put_off = PutOff::default();
        let mut now = Duration::ZERO;
        for refusals in 1..9 {
            put_off.refused(RunId(1), 5, ASKED, now);
            assert_eq!(put_off.refusals, refusals);
            now += at(10);
            assert_eq!(put_off.pushed(5, now), Some(5));
            put_off.decided(6);
            assert!(!put_off.is_taken, "that is another op");
            put_off.decided(5);
            // Only the first such verdict is believed.
            let is_open = put_off.room(now) > 0;
            assert_eq!(is_open, refusals == 1, "after {refusals}");
        }
        // Two workers: what the one tells first does not hide that nothing was taken.
        put_off.refused(RunId(1), 9, ASKED, now);
        put_off.refused(RunId(1), 5, ASKED, now);
        assert_eq!(put_off.refusals, 9);
        now += at(10);
        assert_eq!(put_off.pushed(5, now), Some(5));
        put_off.decided(5);
        now += at(10);
        assert_eq!(put_off.room(now), usize::MAX);
        // The op was taken: this is another time.
        put_off.refused(RunId(1), 6, ASKED, now);
        assert_eq!(put_off.refusals, 1);
        assert_eq!(put_off.deadline(), Some(now + ASKED));
        assert_eq!(put_off.pushed(6, now), Some(6));
        assert_eq!(put_off.room(now), usize::MAX);
    }

    /// The op came back alone and waited for the database; the rest followed, and had to wait.
    #[test]
    fn a_late_verdict_ends_the_refusals_of_what_was_put_off_meanwhile() {
        let mut put_off = PutOff::default();
        let mut now = Duration::ZERO;
        for _ in 0..4 {
            put_off.refused(RunId(1), 5, ASKED, now);
            now += Duration::from_secs(10);
            assert_eq!(put_off.pushed(5, now), Some(5));
        }
        now = put_off.deadline().unwrap();
        assert_eq!(put_off.room(now), usize::MAX);
        put_off.refused(RunId(1), 6, ASKED, now);
        now = put_off.deadline().unwrap();
        assert_eq!(put_off.room(now), 1);
        put_off.decided(5);
        assert_eq!(put_off.room(now), usize::MAX);
        assert_eq!(put_off.pushed(6, now), Some(6));
        put_off.refused(RunId(1), 6, ASKED, now);
        assert_eq!(put_off.refusals, 2, "6 comes back for the second time");
    }

    #[test]
    fn patience_with_a_lone_op_doubles_to_the_bound() {
        let mut put_off = PutOff::default();
        let mut now = Duration::ZERO;
        let mut patience = Vec::new();
        for _ in 0..6 {
            put_off.refused(RunId(1), 5, ASKED, now);
            now += Duration::from_secs(10);
            put_off.pushed(5, now);
            let opens = put_off.deadline();
            patience.push(opens.map(|at| (at - now).as_secs()));
        }
        let expected = [None, Some(1), Some(2), Some(4), Some(4), Some(4)];
        assert_eq!(patience, expected);
    }
}
