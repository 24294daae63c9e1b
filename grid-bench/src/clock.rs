//! Taking time: many short rounds, of which the quickest counts.
//!
//! On a machine with other things to do every disturbance makes a round slower and none makes it
//! quicker, so the minimum is the steadiest estimate of what the code itself costs.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock itself; only the grid is handed it"
)]

use std::time::{Duration, Instant};

/// How many rounds are taken.
const ROUNDS: u32 = 60;
/// How long a round lasts at least, so that the clock's resolution does not matter.
const ROUND: Duration = Duration::from_millis(5);

/// Nanoseconds for each of the `items` that one call of `work` deals with.
pub(crate) fn nanos_per_item(items: u32, mut work: impl FnMut()) -> f64 {
    let mut time = |calls: u32| {
        let start = Instant::now();
        for _ in 0..calls {
            work();
        }
        start.elapsed()
    };
    let mut calls = 1;
    while time(calls) < ROUND {
        calls *= 2;
    }
    let quickest = (0..ROUNDS).map(|_| time(calls)).min().unwrap_or_default();
    quickest.as_secs_f64() * 1e9 / (f64::from(calls) * f64::from(items))
}

/// Splits the time of work that is done in steps.
#[derive(Debug)]
pub(crate) struct Laps(Instant);

impl Laps {
    /// Starts the first lap.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Adds the time since the last lap ended to `step`, and starts the next one.
    pub(crate) fn add_to(&mut self, step: &mut Duration) {
        let now = Instant::now();
        *step += now - self.0;
        self.0 = now;
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn twice_the_work_takes_about_twice_as_long() {
        let spin = |steps: u32| {
            let mut sum = 0_u64;
            for step in 0..steps {
                sum = sum
                    .wrapping_mul(black_box(31))
                    .wrapping_add(u64::from(step));
            }
            black_box(sum);
        };
        let one = nanos_per_item(1, || spin(20_000));
        let two = nanos_per_item(1, || spin(40_000));
        assert!((1.3..3.0).contains(&(two / one)), "{one} ns, then {two} ns");
        let shared = nanos_per_item(10, || spin(20_000));
        assert!(
            (0.05..0.2).contains(&(shared / one)),
            "{one} ns, then {shared} ns"
        );
    }

    #[test]
    fn laps_add_up_to_the_whole() {
        let (mut first, mut second) = (Duration::ZERO, Duration::ZERO);
        let whole = Instant::now();
        let mut laps = Laps::start();
        for _ in 0..100 {
            black_box(vec![0_u8; 10_000]);
            laps.add_to(&mut first);
            laps.add_to(&mut second);
        }
        let whole = whole.elapsed();
        assert!(first > second, "{first:?} of work, {second:?} of nothing");
        assert!(
            first + second <= whole,
            "{first:?} + {second:?} of {whole:?}"
        );
    }
}
