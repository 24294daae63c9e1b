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
        Err(message) => {
            let named = ["this is no plan of a run: ", "this is no kept run: "];
            let is_named = named.iter().any(|begin| message.starts_with(begin));
            assert!(is_named, "{message}");
        }
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
    let kept = |name: &str, text: String| Seed::new(name, text);
    let plan = simulation.plan(4).to_json();
    let whole = format!(r#"{{"scenario":"seed","seed":4,"broke":"","plan":{plan}}}"#);
    let mut seeds: Vec<Seed> = (1..=3).map(seed).collect();
    seeds.push(kept("kept-run", whole));
    seeds.push(kept("kept-run-that-is-none", r#"{"plan":1}"#.to_owned()));
    seeds
}
