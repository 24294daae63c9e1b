//! The plan of a simulated run, as people paste it into a command.

use grid_testkit::scenario::{Plan, Simulation};

use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "plan",
    promise: "a text is refused in words, or is a plan that is written as it is read",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Plan::from_json(text) {
        Err(message) => assert!(message.contains("no plan of a run"), "{message}"),
        Ok(plan) => {
            let again = Plan::from_json(&plan.to_json()).expect("what was written is a plan");
            assert_eq!(again, plan);
        }
    }
}

fn seeds() -> Vec<Seed> {
    let simulation = Simulation::new("seed");
    let seed = |number: u64| {
        let plan = simulation.plan(number).to_json();
        Seed::new(format!("run-{number}"), plan)
    };
    (1..=3).map(seed).collect()
}
