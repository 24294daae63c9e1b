//! Memory is bounded, and nothing of a run stays behind.

use super::outcome::Outcome;
use super::simulation::Simulation;
use crate::CountingAllocator;

/// What a run may hold for each server and device: two and a half times what was measured, with
/// what it may hold for each operation.
const MOST_BYTES_PER_PARTY: usize = 256 * 1024;
/// What a run may hold for each operation: its copies at all parties, and what the simulator keeps.
const MOST_BYTES_PER_OP: usize = 16 * 1024;
/// What may stay behind: what a thread sets up once.
const LEFT_BYTES: isize = 16 * 1024;

/// What a thread held before a run; none where nobody counts.
#[derive(Debug)]
pub(super) struct Memory(Option<isize>);

impl Memory {
    pub(super) fn begin() -> Self {
        Self(CountingAllocator::is_installed().then(CountingAllocator::begin))
    }

    /// Holds a run that is over to what it may hold.
    pub(super) fn check(&self, simulation: &Simulation, outcome: Outcome) -> Outcome {
        let Some(before) = self.0 else {
            return outcome;
        };
        let most = CountingAllocator::most_bytes() - before;
        let left = CountingAllocator::live_bytes() - before;
        let parties = simulation.devices + simulation.servers;
        let of_plan = MOST_BYTES_PER_PARTY * parties + MOST_BYTES_PER_OP * outcome.plan.op_count();
        let bound = simulation.memory.unwrap_or(of_plan);
        // What was recorded stays because it was asked for.
        let broken = if !outcome.events.is_empty() {
            None
        } else if most > isize::try_from(bound).unwrap_or(isize::MAX) {
            Some(format!(
                "memory is bounded: {most} bytes were held, {bound} are allowed"
            ))
        } else if left > LEFT_BYTES {
            Some(format!(
                "memory is given back: {left} bytes are held after the run"
            ))
        } else {
            None
        };
        Outcome {
            failure: outcome.failure.or(broken),
            ..outcome
        }
    }
}
