//! A simulation as a test.

use super::outcome::Outcome;
use super::output;
use super::plan::Plan;
use super::simulation::Simulation;
use super::timeline;

/// How many runs a test has unless `GRID_SIM_RUNS` says otherwise.
const RUNS: u64 = 100;
/// How many runs a failure may be made small with.
const SHRINK_RUNS: usize = 600;
/// How many of the runs are run twice, to see that one seed gives one trace.
const TWICE: u64 = 3;

/// Makes a test out of a simulation.
///
/// `GRID_SIM_RUNS` sets how many seeds are run (100 unless set). `GRID_SIM_SEED` runs one of them,
/// and with `GRID_SIM_PLAN` (a plan as JSON, or a file with one) what is left of it: that is what a
/// failure prints.
///
/// ```
/// use grid_testkit::scenario::Simulation;
///
/// grid_testkit::simulation!(
///     two_devices_agree,
///     Simulation::new("two devices").devices(2).ops_per_device(10)
/// );
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! simulation {
    ($(#[$attribute:meta])* $name:ident, $simulation:expr) => {
        $(#[$attribute])*
        #[test]
        fn $name() {
            let command = ::std::concat!(
                "cargo test -p ",
                ::std::env!("CARGO_PKG_NAME"),
                " ",
                ::std::stringify!($name)
            );
            if let ::std::result::Result::Err(failure) =
                $crate::scenario::check(&$simulation, command)
            {
                ::std::panic!("{failure}");
            }
        }
    };
}

fn number(name: &str) -> Result<Option<u64>, String> {
    match std::env::var(name) {
        Err(_) => Ok(None),
        Ok(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("{name} is `{text}`; it must be a whole number")),
        },
    }
}

fn plan_of_environment() -> Result<Option<Plan>, String> {
    let text = std::env::var("GRID_SIM_PLAN").ok();
    text.map(|text| Plan::from_text_or_file(&text)).transpose()
}

/// Runs a simulation as the environment asks, as [`simulation!`](crate::simulation) does.
///
/// # Errors
/// The report of the first run that fails, made small, with the line that repeats it, which ends
/// with `command`.
pub fn check(simulation: &Simulation, command: &str) -> Result<(), String> {
    if let Some(seed) = number("GRID_SIM_SEED")? {
        let plan = plan_of_environment()?.unwrap_or_else(|| simulation.plan(seed));
        let outcome = simulation.record(seed, &plan);
        println!("trace hash {:016x}", outcome.trace_hash);
        return match outcome.failure {
            Some(_) => Err(report(&outcome, command)),
            None => Ok(()),
        };
    }
    let runs = number("GRID_SIM_RUNS")?.unwrap_or(RUNS);
    let summary = simulation.sweep(0..runs, 0);
    if let Some(failing) = summary.failures.first() {
        let shrunk = simulation.shrink(failing, SHRINK_RUNS);
        return Err(format!(
            "{} of {} runs failed; this one had a plan of {} parts before {} runs made it small\n{}",
            summary.failed,
            summary.runs,
            shrunk.size_before,
            shrunk.runs,
            report(&shrunk.outcome, command)
        ));
    }
    for seed in 0..runs.min(TWICE) {
        let hash = simulation.run(seed).trace_hash;
        if !summary.traces.contains(&hash) {
            return Err(format!(
                "{}: seed {seed} gave two traces: something draws time, chance or order from \
                 outside",
                simulation.name()
            ));
        }
    }
    Ok(())
}

/// A failing run for people: what broke, what happened, and how to see it again. It is also written
/// to [`output_folder`](super::output_folder).
#[must_use]
pub fn report(outcome: &Outcome, command: &str) -> String {
    let failure = outcome.failure.as_deref().unwrap_or("nothing failed");
    let files = match output::write(outcome, &output::folder()) {
        Ok(written) => format!(
            "as a file: {}\nas a diagram: {}",
            written.run.display(),
            written.diagram.display()
        ),
        Err(error) => error,
    };
    format!(
        "{}, seed {}: {failure}\n\n{}\n{files}\nreplay it:\n{} {command}",
        outcome.simulation,
        outcome.seed,
        timeline::render(outcome),
        outcome.replay()
    )
}
