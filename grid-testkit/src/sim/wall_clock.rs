//! Wall clocks that are wrong.

use std::time::Duration;

/// How a party's wall clock differs from the world's time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WallClock {
    /// What it is off, in milliseconds, at `since`.
    pub(super) offset_ms: i64,
    pub(super) since: Duration,
    /// What it gains on the world, in parts per million.
    pub(super) drift_ppm: i64,
}

impl WallClock {
    /// What it is off at `now`, in milliseconds.
    pub(super) fn offset_ms(&self, now: Duration) -> i64 {
        let elapsed = i64::try_from((now.saturating_sub(self.since)).as_millis());
        let gained = elapsed.unwrap_or(i64::MAX).saturating_mul(self.drift_ppm) / 1_000_000;
        self.offset_ms.saturating_add(gained)
    }
}
