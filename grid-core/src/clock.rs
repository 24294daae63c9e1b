//! Clocks: issuing stamps, admitting those of others, and never going back over a restart.

use crate::hlc::Hlc;

/// A hybrid logical clock: issues instants that only ever go forward.
///
/// The wall clock is handed in with every call and may go back; the clock then counts on from
/// where it was.
///
/// ```
/// use grid_core::{Clock, Hlc};
///
/// let mut clock = Clock::new(Hlc::ZERO);
/// let first = clock.tick(1_000);
/// assert_eq!(first, Hlc::new(1_000, 0));
/// // The wall clock went back by half a second.
/// assert_eq!(clock.tick(500), Hlc::new(1_000, 1));
/// // Something later was seen.
/// clock.absorb(Hlc::new(2_000, 5));
/// assert_eq!(clock.tick(1_500), Hlc::new(2_000, 6));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    last: Hlc,
}

impl Clock {
    /// A clock that issues only instants after `floor`: the highest instant that its owner ever
    /// issued or saw.
    #[must_use]
    pub fn new(floor: Hlc) -> Self {
        Self { last: floor }
    }

    /// The next instant: the wall time `now_ms` (milliseconds since 1970) if that is later than
    /// everything before, else the smallest later instant.
    ///
    /// Strictly later than every instant issued or absorbed, up to the end of [`Hlc`]'s range.
    pub fn tick(&mut self, now_ms: u64) -> Hlc {
        self.last = Hlc::new(now_ms, 0).max(self.last.next());
        self.last
    }

    /// Takes note of an instant seen elsewhere, so that later ones are after it.
    pub fn absorb(&mut self, seen: Hlc) {
        self.last = self.last.max(seen);
    }

    /// The latest instant issued or absorbed.
    #[must_use]
    pub fn last(&self) -> Hlc {
        self.last
    }
}

/// A stamp as the server takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// The final stamp.
    pub hlc: Hlc,
    /// Whether it is another than the client's.
    pub restamped: bool,
}

/// Decides the final stamp of an op whose client stamped it `stamp`.
///
/// Stamps of the past and up to `now_ms + allowed_drift_ms` stand. One further ahead becomes
/// min(`stamp` − `offset_ms`, `now_ms`), or the instant after `last_of_run` if that is later, so
/// that the run keeps its order. A fast clock thus is not refused and wins nothing.
///
/// - `offset_ms`: the client's wall clock minus the server's, measured at the handshake.
/// - `last_of_run`: the final stamp of the op of the same run decided before it in this partition.
///
/// A restamped op must not advance the server's clock beyond its own `now_ms`; the caller absorbs
/// nothing that was not admitted as it came.
///
/// ```
/// use grid_core::{Hlc, admit};
///
/// let now = 1_000_000;
/// let old = Hlc::new(5, 0);
/// assert_eq!(admit(old, 0, now, 60_000, None).hlc, old);
/// // Ten minutes fast, and the handshake measured that.
/// let fast = Hlc::new(now + 600_000 - 250, 3);
/// let admitted = admit(fast, 600_000, now, 60_000, None);
/// assert_eq!(admitted.hlc, Hlc::new(now - 250, 3));
/// assert!(admitted.restamped);
/// ```
#[must_use]
pub fn admit(
    stamp: Hlc,
    offset_ms: i64,
    now_ms: u64,
    allowed_drift_ms: u64,
    last_of_run: Option<Hlc>,
) -> Admitted {
    if stamp.millis() <= now_ms.saturating_add(allowed_drift_ms) {
        return Admitted {
            hlc: stamp,
            restamped: false,
        };
    }
    let shift = offset_ms.unsigned_abs();
    let corrected_ms = if offset_ms >= 0 {
        stamp.millis().saturating_sub(shift)
    } else {
        stamp.millis().saturating_add(shift)
    };
    let corrected = Hlc::new(corrected_ms, stamp.counter()).min(Hlc::new(now_ms, 0));
    let hlc = last_of_run.map_or(corrected, |last| corrected.max(last.next()));
    Admitted {
        hlc,
        restamped: hlc != stamp,
    }
}

/// How far a stored bound lies beyond the instant that made it necessary, in milliseconds. A
/// server stores one bound in this time, and skips at most this much after a crash.
pub const CLOCK_BOUND_LEAD_MS: u64 = 10_000;

/// The upper bound of the instants that a server may issue, which it stores before it issues
/// instants beyond the bound stored before.
///
/// After a crash the server goes on behind the bound, and so behind everything it ever issued,
/// without having stored each instant.
///
/// ```
/// use grid_core::{ClockBound, Hlc};
///
/// let mut bound = ClockBound::default();
/// let wanted = Hlc::new(1_000, 0);
/// let raised = bound.raise_for(wanted).expect("nothing was stored yet");
/// // … store `raised`, and once that is durable:
/// bound.stored(raised);
/// assert_eq!(bound.raise_for(wanted), None);
/// // After a restart, with a wall clock that went back:
/// assert!(bound.restart().tick(5) > raised);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockBound(Hlc);

impl ClockBound {
    /// The bound as it was read back; [`Hlc::ZERO`] when none was ever stored.
    #[must_use]
    pub fn new(stored: Hlc) -> Self {
        Self(stored)
    }

    /// The stored bound.
    #[must_use]
    pub fn get(self) -> Hlc {
        self.0
    }

    /// The bound to store before `instant` may be issued; `None` when the stored one suffices.
    #[must_use]
    pub fn raise_for(self, instant: Hlc) -> Option<Hlc> {
        (instant > self.0).then(|| Hlc::new(instant.millis() + CLOCK_BOUND_LEAD_MS, u16::MAX))
    }

    /// Takes note that `bound` is durable. A lower bound than before changes nothing.
    pub fn stored(&mut self, bound: Hlc) {
        self.0 = self.0.max(bound);
    }

    /// The clock after a restart: all its instants are later than the bound.
    #[must_use]
    pub fn restart(self) -> Clock {
        Clock::new(self.0)
    }
}
