//! The test of the tester: deliberate bugs, and how many runs find them.

use grid_core::mutation::Mutation;
use grid_testkit::scenario::{Outcome, Simulation};

use crate::scenarios;

/// How many runs may go by before a bug counts as not found.
pub const MOST_RUNS: u64 = 2000;
/// How many times each bug is looked for, from other seeds, for the median.
pub const TRIALS: u64 = 5;
/// How many runs a failure may be made small with.
const SHRINK_RUNS: usize = 500;

/// How a bug was found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The bug.
    pub mutation: Mutation,
    /// How many runs it took in each trial; none where it was not found.
    pub runs: Vec<Option<u64>>,
    /// The size of a plan that found it, before and after it was made small, in each trial.
    pub sizes: Vec<(usize, usize)>,
    /// The first failure, made small.
    pub example: Option<Outcome>,
}

impl Finding {
    /// Whether every trial found it.
    #[must_use]
    pub fn found(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(Option::is_some)
    }

    /// The median number of runs.
    #[must_use]
    pub fn median_runs(&self) -> Option<u64> {
        let mut runs: Vec<u64> = self
            .runs
            .iter()
            .map(|runs| runs.unwrap_or(u64::MAX))
            .collect();
        runs.sort_unstable();
        runs.get(runs.len() / 2)
            .copied()
            .filter(|runs| *runs != u64::MAX)
    }

    /// The median of what is left of a plan, in percent.
    #[must_use]
    pub fn median_percent(&self) -> Option<usize> {
        let percents = self
            .sizes
            .iter()
            .map(|(before, after)| after * 100 / (*before).max(1));
        let mut percents: Vec<usize> = percents.collect();
        percents.sort_unstable();
        percents.get(percents.len() / 2).copied()
    }
}

/// Looks for a bug in all scenarios by turns.
#[must_use]
pub fn look_for(mutation: Mutation, trials: u64) -> Finding {
    let planted: Vec<Simulation> = scenarios::all()
        .into_iter()
        .map(|simulation| simulation.mutation(mutation))
        .collect();
    let mut finding = Finding {
        mutation,
        runs: Vec::new(),
        sizes: Vec::new(),
        example: None,
    };
    for trial in 0..trials {
        match first_failure(&planted, trial * MOST_RUNS) {
            None => finding.runs.push(None),
            Some((simulation, runs, failing)) => {
                finding.runs.push(Some(runs));
                let shrunk = simulation.shrink(&failing, SHRINK_RUNS);
                finding
                    .sizes
                    .push((shrunk.size_before, shrunk.outcome.plan.len()));
                finding.example.get_or_insert(shrunk.outcome);
            }
        }
    }
    finding
}

fn first_failure(planted: &[Simulation], first: u64) -> Option<(&Simulation, u64, Outcome)> {
    let mut runs = 0;
    for seed in first.. {
        for simulation in planted {
            if runs == MOST_RUNS {
                return None;
            }
            runs += 1;
            let outcome = simulation.run(seed);
            if outcome.failure.is_some() {
                return Some((simulation, runs, outcome));
            }
        }
    }
    None
}
