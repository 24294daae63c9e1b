//! Runs of the shipping client and server under faults, on simulated time, links, disks and
//! stores. `GRID_SIM_RUNS` sets how many there are, `GRID_SIM_SEED` replays one.

use grid_testkit::scenario::{Options, run};

/// How many runs there are unless `GRID_SIM_RUNS` says otherwise.
const RUNS: u64 = 1000;

#[expect(
    clippy::unwrap_used,
    reason = "a number that is none is the user's mistake"
)]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_run_converges_and_loses_nothing() {
    let options = Options::default();
    let first = number("GRID_SIM_SEED");
    let runs = number("GRID_SIM_RUNS").unwrap_or(RUNS);
    let seeds = match first {
        Some(seed) => seed..seed + 1,
        None => 0..runs,
    };
    let outcomes: Vec<_> = seeds.map(|seed| run(seed, &options)).collect();
    for outcome in &outcomes {
        assert!(outcome.failure.is_none(), "{outcome}");
        assert!(outcome.ops >= 100, "{outcome}");
    }
}

#[test]
fn one_seed_gives_one_trace() {
    let options = Options::default();
    for seed in 0..10 {
        assert_eq!(run(seed, &options), run(seed, &options));
    }
    assert_ne!(run(1, &options).trace_hash, run(2, &options).trace_hash);
}

#[test]
fn a_server_that_forgets_to_sync_is_found() {
    let options = Options {
        forget_sync: true,
        ..Options::default()
    };
    let found = (0..2000).find(|seed| run(*seed, &options).failure.is_some());
    assert!(found.is_some(), "2,000 runs found nothing");
}
