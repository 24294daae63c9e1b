//! Many runs, on all cores.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::outcome::{Counts, Outcome};
use super::simulation::Simulation;

/// What many runs came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// How many runs there were.
    pub runs: u64,
    /// The hashes of what happened in them.
    pub traces: BTreeSet<u64>,
    /// What happened, over all runs.
    pub total: Counts,
    /// What happened at least in every run.
    pub least: Counts,
    /// The runs that failed, in order of their seeds; at most [`KEPT_FAILURES`] of them.
    pub failures: Vec<Outcome>,
    /// How many runs failed.
    pub failed: u64,
}

/// How many failing runs a summary keeps.
pub const KEPT_FAILURES: usize = 8;

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        let counts = outcome.counts;
        self.least = match self.runs {
            0 => counts,
            _ => self.least.least(counts),
        };
        self.total = self.total.plus(counts);
        self.runs += 1;
        self.traces.insert(outcome.trace_hash);
        if outcome.failure.is_some() {
            self.failed += 1;
            self.failures.push(outcome);
            self.failures.sort_by_key(|failing| failing.seed);
            self.failures.truncate(KEPT_FAILURES);
        }
    }

    /// Adds what other runs came to.
    pub fn merge(&mut self, other: Self) {
        self.least = match (self.runs, other.runs) {
            (_, 0) => self.least,
            (0, _) => other.least,
            _ => self.least.least(other.least),
        };
        self.total = self.total.plus(other.total);
        self.runs += other.runs;
        self.traces.extend(other.traces);
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(KEPT_FAILURES);
    }
}

impl Simulation {
    /// Runs every seed of `seeds` on `threads` threads (0: as many as there are cores).
    #[must_use]
    pub fn sweep(&self, seeds: Range<u64>, threads: usize) -> Summary {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let next = AtomicU64::new(seeds.start);
        let summary = Mutex::new(Summary::default());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            break;
                        }
                        let outcome = self.run(seed);
                        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                        summary.add(outcome);
                    }
                });
            }
        });
        summary.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
