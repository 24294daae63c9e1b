//! Making a failing run small: what can be left out while it still fails, is left out.

use super::outcome::Outcome;
use super::plan::Plan;
use super::simulation::Simulation;

/// How many orders of tasks are tried before something counts as needed: with less to do, the order
/// that shows the bug may be another one.
const ORDERS: u64 = 3;

/// A failing run, made small.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The smallest run that was found, with everything that happened in it.
    pub outcome: Outcome,
    /// The size of the plan before: devices, operations, faults and audits.
    pub size_before: usize,
    /// How many runs that took.
    pub runs: usize,
}

impl Simulation {
    /// Makes a failing run small within about `budget` runs: leaves out audits, then faults, then
    /// operations, then devices, again and again, as long as something still fails.
    #[must_use]
    pub fn shrink(&self, failing: &Outcome, budget: usize) -> Shrunk {
        let mut shrinker = Shrinker {
            simulation: self,
            seed: failing.seed,
            best: failing.plan.clone(),
            left: budget,
        };
        loop {
            let before = shrinker.best.len();
            shrinker.pass(Part::Audits);
            shrinker.pass(Part::Faults);
            shrinker.pass(Part::Operations);
            shrinker.pass(Part::Devices);
            if shrinker.best.len() == before || shrinker.left == 0 {
                break;
            }
        }
        Shrunk {
            outcome: self.record(failing.seed, &shrinker.best),
            size_before: failing.plan.len(),
            runs: budget - shrinker.left,
        }
    }
}

/// What a pass leaves out.
#[derive(Debug, Clone, Copy)]
enum Part {
    Audits,
    Faults,
    Operations,
    Devices,
}

impl Part {
    fn count(self, plan: &Plan) -> usize {
        match self {
            Self::Audits => plan.audits.len(),
            Self::Faults => plan.faults.len(),
            Self::Operations => plan.op_count(),
            Self::Devices => plan.ops.len(),
        }
    }

    /// The plan without the items from `from` to `to`.
    fn without(self, plan: &Plan, from: usize, to: usize) -> Plan {
        let mut rest = plan.clone();
        let mut index = 0;
        let mut stays = || {
            let stays = !(from..to).contains(&index);
            index += 1;
            stays
        };
        match self {
            Self::Audits => rest.audits.retain(|_| stays()),
            Self::Faults => rest.faults.retain(|_| stays()),
            Self::Operations => {
                for numbers in rest.ops.values_mut() {
                    numbers.retain(|_| stays());
                }
            }
            Self::Devices => rest.ops.retain(|_, _| stays()),
        }
        rest
    }
}

struct Shrinker<'a> {
    simulation: &'a Simulation,
    seed: u64,
    best: Plan,
    left: usize,
}

impl Shrinker<'_> {
    /// Leaves out halves, then quarters, down to single items.
    fn pass(&mut self, part: Part) {
        let mut size = part.count(&self.best).div_ceil(2);
        while size > 0 && self.left > 0 {
            let mut from = 0;
            while from < part.count(&self.best) && self.left > 0 {
                let rest = part.without(&self.best, from, from + size);
                if !self.takes(&rest) {
                    from += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// Whether `plan` still fails in one of a few orders; if so, it is the best from now on.
    fn takes(&mut self, plan: &Plan) -> bool {
        for turn in 0..ORDERS {
            let Some(left) = self.left.checked_sub(1) else {
                return false;
            };
            self.left = left;
            let candidate = Plan {
                order: self.best.order.wrapping_add(turn),
                ..plan.clone()
            };
            let outcome = self.simulation.run_plan(self.seed, &candidate);
            if outcome.failure.is_some() {
                self.best = candidate;
                return true;
            }
        }
        false
    }
}
