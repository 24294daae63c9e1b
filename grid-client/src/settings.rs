//! What can be set of a client, with units and bounds.

use std::time::Duration;

/// What may wait to be made durable, in turns: a write takes one, and one more for each
/// [`BYTES_PER_TURN`] of its value. So 64 MiB of values wait at most.
pub(crate) const MAX_QUEUED_TURNS: usize = 65_536;
/// The bytes of a value that take a turn, beside the one that every write takes.
pub(crate) const BYTES_PER_TURN: usize = 1024;
/// Most writes that one call may make, and most turns of writes of several calls that go into one
/// batch of the store.
pub(crate) const MAX_WRITES_PER_SAVE: usize = 16_384;
/// What the server told and is not stored yet, in bytes, before the client stops reading.
pub(crate) const MAX_UNSAVED_BYTES: usize = 8 * 1024 * 1024;
/// Most frames that are taken from or given to a connection at a time.
pub(crate) const FRAMES_AT_A_TIME: usize = 64;
/// How long a connection may take to be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that held for this long, or for longer than the wait before it, ends a row of
/// failures: the next wait is the shortest again.
pub(crate) const STEADY_AFTER: Duration = Duration::from_secs(2);
/// How long the end of a connection may take: the last frame, and the closing.
pub(crate) const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// How many rows are read from the store at a time.
pub(crate) const ROWS_PER_PAGE: usize = 4_096;

/// How long to wait before the next attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub shortest: Duration,
    /// The longest wait; each is twice the one before.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            shortest: Duration::from_millis(100),
            longest: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The wait after `failures` failures in a row (at least 1), between half and all of the
    /// step's length, by `random`, so that many clients do not come back at once.
    pub(crate) fn wait(&self, failures: u32, random: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let step = self
            .shortest
            .saturating_mul(1 << doublings)
            .min(self.longest);
        let half = step / 2;
        let spread = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(random % spread.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_never_leave_it() {
        let backoff = Backoff::default();
        for failures in 0..80 {
            for random in [0, 1, u64::MAX / 3, u64::MAX] {
                let wait = backoff.wait(failures, random);
                assert!(wait >= backoff.shortest / 2, "{failures}: {wait:?}");
                assert!(wait <= backoff.longest, "{failures}: {wait:?}");
            }
        }
        // Chance spreads the waits over half of the step: many clients do not come back at once.
        for failures in [1, 5, 30] {
            let waits = (0..1_000u64).map(|number| {
                let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                backoff.wait(failures, random)
            });
            let mut waits: Vec<Duration> = waits.collect();
            waits.sort_unstable();
            let (low, high) = (waits[0].as_secs_f64(), waits[999].as_secs_f64());
            assert!(low < high * 0.52, "{failures}: {low} to {high}");
            let middle = waits[500].as_secs_f64();
            assert!((0.7..0.8).contains(&(middle / high)), "{middle} of {high}");
        }
        assert!(backoff.wait(1, u64::MAX) <= Duration::from_millis(100));
        assert!(backoff.wait(4, 0) == Duration::from_millis(400));
        assert!(backoff.wait(60, 0) == Duration::from_secs(15));
    }
}
