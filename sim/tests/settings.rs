//! What a run checks goes by the servers' settings.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::ops::Range;

use grid_core::mutation::Mutation;
use grid_server::Settings;
use grid_server::config::AckLevels;
use grid_sim::scenarios;
use grid_testkit::scenario::Simulation;

fn with(name: &str, change: impl FnOnce(&mut Settings)) -> Simulation {
    let simulation = scenarios::named(name).expect("there is one");
    simulation.settings(change)
}

fn in_memory(levels: &'static str) -> impl FnOnce(&mut Settings) {
    move |settings| settings.ack_levels = AckLevels::parse(levels).expect("levels")
}

fn assert_holds(simulation: &Simulation, seeds: Range<u64>) {
    let summary = simulation.sweep(seeds, 0);
    let failures = summary.failures.iter();
    let failures: Vec<_> = failures.map(|run| (run.seed, &run.failure)).collect();
    assert_eq!(summary.failed, 0, "{}: {failures:?}", simulation.name());
}

/// That a stamp is bounded, that a fast clock is corrected, and which of two writes was later, was
/// judged by the drift that is allowed unless settings say something else.
#[test]
fn runs_hold_whatever_drift_is_allowed() {
    for drift_ms in [10, 600_000] {
        for name in ["mixed", "clocks"] {
            let simulation = with(name, |settings| settings.allowed_drift_ms = drift_ms);
            assert_holds(&simulation, 0..27);
        }
    }
}

/// A server that loses its power, its disk or its partitions forgets what it told at `memory`; that
/// was taken for a loss.
#[test]
fn what_is_told_in_memory_may_be_lost() {
    for name in ["mixed", "crashes", "owners", "behind"] {
        assert_holds(&with(name, in_memory("memory")), 0..12);
    }
}

/// It was told, the journal did not take it, and its device waited for ever for what it had been
/// told of.
#[test]
fn what_is_told_in_memory_and_not_journalled_is_pushed_again() {
    assert_holds(&with("crashes", in_memory("memory")), 27..28);
}

#[test]
fn a_bug_shows_in_the_maps_that_are_promised_something() {
    let simulation = with("mixed", in_memory("notes-2=memory")).mutation(Mutation::SkipDedup);
    let failures: Vec<String> = (0..40)
        .filter_map(|seed| simulation.run(seed).failure)
        .collect();
    let by_history = |one: &String| one.starts_with("history: ") && one.contains("lists/");
    assert!(failures.iter().any(by_history), "{failures:?}");
}
