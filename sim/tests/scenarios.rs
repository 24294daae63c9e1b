//! Every scenario holds, and one seed gives one trace. `GRID_SIM_RUNS` sets how many runs there
//! are.

use grid_sim::scenarios;
use grid_testkit::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// How many runs there are over all scenarios unless `GRID_SIM_RUNS` says otherwise.
const RUNS: u64 = 1000;

#[test]
fn every_run_converges_and_loses_nothing() {
    let runs = std::env::var("GRID_SIM_RUNS").map_or(RUNS, |text| {
        text.parse().expect("GRID_SIM_RUNS is a whole number")
    });
    let scenarios = scenarios::all();
    let share = runs.div_ceil(scenarios.len() as u64);
    for simulation in scenarios {
        let summary = simulation.sweep(0..share, 0);
        if let Some(failing) = summary.failures.first() {
            let shrunk = simulation.shrink(failing, 300);
            let command = format!("cargo xtask sim --scenario {}", simulation.name());
            panic!(
                "{}",
                grid_testkit::scenario::report(&shrunk.outcome, &command)
            );
        }
        assert_eq!(
            summary.traces.len() as u64,
            summary.runs,
            "no two runs are alike"
        );
        assert!(simulation.plan(0).ops.len() >= 3, "three devices at least");
        let least = summary.least;
        assert!(least.steps >= 500 && least.ops >= 100, "{least:?}");
        assert!(least.crashes >= 1 && least.cuts >= 1, "{least:?}");
    }
}

#[test]
fn one_seed_gives_one_trace() {
    for simulation in scenarios::all() {
        for seed in 0..10 {
            let (one, again) = (simulation.run(seed), simulation.run(seed));
            assert_eq!(
                one.trace_hash,
                again.trace_hash,
                "{} {seed}",
                simulation.name()
            );
            assert_eq!(one.counts, again.counts);
            let kept = simulation.record(seed, &simulation.plan(seed));
            assert_eq!(
                one.trace_hash, kept.trace_hash,
                "to look on changes nothing"
            );
        }
    }
}
