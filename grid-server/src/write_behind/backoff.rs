//! Waiting longer after each failure, up to a bound.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait before the next try.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure, of which `random` takes off up to a half, so that many who
    /// failed together do not come back together.
    pub(crate) fn failed(&mut self, random: u64) -> Duration {
        let wait = FIRST
            .saturating_mul(2u32.saturating_pow(self.failures))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let part = u32::try_from(random % 512).unwrap_or(0);
        wait - wait / 1024 * part
    }

    /// It works again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..4).map(|_| backoff.failed(0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800]);
        for _ in 0..100 {
            assert!(backoff.failed(0) <= LONGEST);
        }
        assert_eq!(backoff.failed(0), LONGEST);
        let jittered = backoff.failed(511);
        assert!(jittered >= LONGEST / 2 && jittered < LONGEST);
        backoff.succeeded();
        assert_eq!(backoff.failed(0), FIRST);
    }
}
