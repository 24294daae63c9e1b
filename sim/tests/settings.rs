//! What a run checks goes by the servers' settings.

use grid_sim::scenarios;

/// The seeds of each scenario.
const SEEDS: std::ops::Range<u64> = 0..27;

/// That a stamp is bounded, that a fast clock is corrected, and which of two writes was later, was
/// judged by the drift that is allowed unless settings say something else.
#[test]
fn runs_hold_whatever_drift_is_allowed() {
    for drift_ms in [10, 600_000] {
        for name in ["mixed", "clocks"] {
            let simulation = scenarios::named(name).expect("there is one");
            let simulation = simulation.settings(|settings| settings.allowed_drift_ms = drift_ms);
            let summary = simulation.sweep(SEEDS, 0);
            let failures = summary.failures.iter();
            let failures: Vec<_> = failures.map(|run| (run.seed, &run.failure)).collect();
            assert_eq!(summary.failed, 0, "{drift_ms} ms, {name}: {failures:?}");
        }
    }
}
