//! Making a failing run small: what can be left out while it still fails, is left out.

use super::fault::Fault;
use super::outcome::Outcome;
use super::plan::Plan;
use super::simpler::simpler;
use super::simulation::Simulation;

/// How many orders of tasks are tried before a large piece counts as needed: with less to do, the
/// order that shows the bug may be another one.
const ORDERS: u64 = 3;
/// Up to how many pieces are tried in all of these orders. Of smaller pieces there are many, and
/// they come up again in the next round.
const LARGE_PIECES: usize = 16;
/// How few of the operations may do, as divisors, and how many random choices of so few are tried.
/// A bug that any small run can show is found in one of them, where leaving out one piece after
/// another would get stuck: each piece that goes changes what happens after it.
const BITES: [(usize, usize); 3] = [(8, 16), (4, 8), (2, 6)];
/// How few operations need no random choices.
const FEW_OPERATIONS: usize = 8;

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
    /// Makes a failing run small within `budget` runs: leaves out audits, then faults, then
    /// operations, then devices, again and again, as long as something still fails. Where many
    /// operations are left, it tries few of them, chosen by chance, with the faults at their times
    /// or at other ones. What is left of the faults is made simpler in the end.
    #[must_use]
    pub fn shrink(&self, failing: &Outcome, budget: usize) -> Shrunk {
        let mut shrinker = Shrinker {
            simulation: self,
            seed: failing.seed,
            chance: fastrand::Rng::with_seed(failing.seed),
            best: failing.plan.clone(),
            left: budget,
        };
        shrinker.bite();
        loop {
            let before = shrinker.best.len();
            shrinker.pass(Part::Audits);
            shrinker.pass(Part::Faults);
            shrinker.pass(Part::OperationsOfDevices);
            shrinker.pass(Part::Operations);
            shrinker.pass(Part::Devices);
            if shrinker.best.len() == before || shrinker.left == 0 {
                break;
            }
            shrinker.bite();
        }
        shrinker.simplify();
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
    /// All operations of a device, which still takes part.
    OperationsOfDevices,
    Operations,
    /// A device, with its operations and its faults.
    Devices,
}

impl Part {
    fn count(self, plan: &Plan) -> usize {
        match self {
            Self::Audits => plan.audits.len(),
            Self::Faults => plan.faults.len(),
            Self::Operations => plan.op_count(),
            Self::OperationsOfDevices | Self::Devices => plan.ops.len(),
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
            Self::OperationsOfDevices => {
                for numbers in rest.ops.values_mut().filter(|_| !stays()) {
                    numbers.clear();
                }
            }
            Self::Operations => {
                for numbers in rest.ops.values_mut() {
                    numbers.retain(|_| stays());
                }
            }
            Self::Devices => {
                rest.ops.retain(|_, _| stays());
                let there = |device| rest.ops.contains_key(&device);
                let hits = |fault: &Fault| fault.device().is_none_or(there);
                rest.faults.retain(|timed| hits(&timed.fault));
            }
        }
        rest
    }
}

struct Shrinker<'a> {
    simulation: &'a Simulation,
    seed: u64,
    /// Follows from the seed: a failure is made small in the same way each time.
    chance: fastrand::Rng,
    best: Plan,
    left: usize,
}

impl Shrinker<'_> {
    /// Keeps an eighth of the operations, a quarter or half of them, by chance, as often as one
    /// such choice fails.
    fn bite(&mut self) {
        for (divisor, tries) in BITES {
            let mut failed = 0;
            while failed < tries && self.left > 0 && self.best.op_count() > FEW_OPERATIONS {
                let mut few = self.best.clone();
                for numbers in few.ops.values_mut() {
                    numbers.retain(|_| self.chance.usize(..divisor) == 0);
                }
                if self.chance.bool() {
                    self.retime(&mut few);
                }
                let order = self.best.order.wrapping_add(failed as u64);
                let smaller = few.op_count() < self.best.op_count();
                if smaller && self.takes_in(few, order) {
                    failed = 0;
                } else {
                    failed += 1;
                }
            }
        }
    }

    /// Lets the faults happen at other times: with fewer operations, those that a fault has to meet
    /// may be others.
    fn retime(&mut self, plan: &mut Plan) {
        let span = self.simulation.fault_phase.as_millis();
        let span_ms = u64::try_from(span).unwrap_or(u64::MAX).max(1);
        for timed in &mut plan.faults {
            timed.at_ms = self.chance.u64(..span_ms);
        }
        plan.faults.sort_by_key(|timed| timed.at_ms);
    }

    /// Leaves out halves, then quarters, down to single items.
    fn pass(&mut self, part: Part) {
        let mut size = part.count(&self.best).div_ceil(2);
        while size > 0 && self.left > 0 {
            let mut from = 0;
            while from < part.count(&self.best) && self.left > 0 {
                let rest = part.without(&self.best, from, from + size);
                let pieces = part.count(&self.best).div_ceil(size);
                let orders = if pieces > LARGE_PIECES { 1 } else { ORDERS };
                let taken = rest != self.best && self.takes(&rest, orders);
                // Devices without operations are as many as before.
                if !taken || matches!(part, Part::OperationsOfDevices) {
                    from += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// Makes each fault that is left simpler, as far as something still fails.
    fn simplify(&mut self) {
        for index in 0..self.best.faults.len() {
            let mut tried = 0;
            loop {
                let fault = self.best.faults[index].fault;
                let Some(next) = simpler(fault).into_iter().nth(tried) else {
                    break;
                };
                let mut rest = self.best.clone();
                rest.faults[index].fault = next;
                // What was taken is offered no more.
                if !self.takes(&rest, 1) {
                    tried += 1;
                }
            }
        }
    }

    /// Whether `plan` still fails in one of a few orders; if so, it is the best from now on.
    fn takes(&mut self, plan: &Plan, orders: u64) -> bool {
        let order = self.best.order;
        (0..orders).any(|turn| self.takes_in(plan.clone(), order.wrapping_add(turn)))
    }

    /// Whether `plan` still fails in this order; if so, it is the best from now on.
    fn takes_in(&mut self, plan: Plan, order: u64) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            return false;
        };
        self.left = left;
        let candidate = Plan { order, ..plan };
        let outcome = self.simulation.run_plan(self.seed, &candidate);
        let fails = outcome.failure.is_some();
        if fails {
            self.best = candidate;
        }
        fails
    }
}
