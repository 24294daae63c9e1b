//! The figures of many runs, for people and for programs.

use grid_testkit::scenario::Summary;

/// One line of JSON.
#[must_use]
pub fn json(summary: &Summary, seconds: f64) -> String {
    format!(
        "{{\"runs\":{},\"distinct\":{},\"steps\":{},\"ops\":{},\"crashes\":{},\"failed\":{},\"seconds\":{seconds:.1}}}",
        summary.runs,
        summary.traces.len(),
        summary.total.steps,
        summary.total.ops,
        summary.total.crashes,
        summary.failed
    )
}

/// What happened at least in every run.
#[must_use]
pub fn least(summary: &Summary) -> String {
    let least = summary.least;
    format!(
        "in every run at least {} steps, {} operations, {} crashes, {} cuts",
        least.steps, least.ops, least.crashes, least.cuts
    )
}
