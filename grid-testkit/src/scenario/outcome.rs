//! What a run came to.

use std::fmt;

use super::event::TimedEvent;
use super::plan::Plan;

/// What happened in a run, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames delivered, input and output done, timers fired, faults, operations begun.
    pub steps: u64,
    /// Operations that users began.
    pub ops: u64,
    /// Power cuts of servers and devices.
    pub crashes: u64,
    /// Cuts of the network between a device and the servers.
    pub cuts: u64,
}

impl Counts {
    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        self.with(other, |one, two| one + two)
    }

    /// The lesser of each.
    pub(super) fn least(self, other: Self) -> Self {
        self.with(other, u64::min)
    }

    fn with(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            steps: join(self.steps, other.steps),
            ops: join(self.ops, other.ops),
            crashes: join(self.crashes, other.crashes),
            cuts: join(self.cuts, other.cuts),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The simulation's name.
    pub simulation: String,
    /// The run's seed.
    pub seed: u64,
    /// Who did what, and what went wrong when.
    pub plan: Plan,
    /// The hash of everything that happened: two runs of one seed and plan agree on it.
    pub trace_hash: u64,
    /// In figures.
    pub counts: Counts,
    /// What did not hold, if something did not.
    pub failure: Option<String>,
    /// Everything that happened, when that was asked for.
    pub events: Vec<TimedEvent>,
}

impl Outcome {
    /// The variables with which the run can be repeated.
    #[must_use]
    pub fn replay(&self) -> String {
        let (seed, plan) = (self.seed, self.plan.to_json());
        format!("GRID_SIM_SEED={seed} GRID_SIM_PLAN='{plan}'")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, seed) = (&self.simulation, self.seed);
        match &self.failure {
            None => write!(
                f,
                "{name}, seed {seed}: {} steps, {} operations",
                self.counts.steps, self.counts.ops
            ),
            Some(failure) => write!(
                f,
                "{name}, seed {seed}: {failure}\n{}replay it with {}",
                self.plan,
                self.replay()
            ),
        }
    }
}
