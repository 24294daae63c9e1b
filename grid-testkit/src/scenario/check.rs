//! A simulation as a test.

use std::env::VarError;

use super::kept_run::KeptRun;
use super::outcome::Outcome;
use super::output;
use super::plan::{Plan, text_or_file};
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
/// and with `GRID_SIM_PLAN` (a plan as JSON, or a file with one, from the folder of the package)
/// what is left of it: that is what a failure prints. The file of a failing run names its seed
/// itself.
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

fn text(name: &str) -> Result<Option<String>, String> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is no text")),
    }
}

fn number(name: &str) -> Result<Option<u64>, String> {
    let Some(text) = text(name)? else {
        return Ok(None);
    };
    let number = text.trim().parse();
    number
        .map(Some)
        .map_err(|_| format!("{name} is `{text}`; it must be a whole number"))
}

/// The seed and the plan of the one run that is asked for, if one is: `plan` is JSON, or a file
/// with it, of a plan or of a [`KeptRun`].
///
/// # Errors
/// When the plan cannot be read, is of another simulation or seed, or has no seed.
pub fn asked_for(
    simulation: &Simulation,
    seed: Option<u64>,
    plan: Option<&str>,
) -> Result<Option<(u64, Plan)>, String> {
    let Some(plan) = plan else {
        return Ok(seed.map(|seed| (seed, simulation.plan(seed))));
    };
    let json = text_or_file(plan)?;
    let plan = Plan::from_json(&json)?;
    let kept = KeptRun::from_json(&json).ok();
    if let Some(kept) = &kept {
        kept.is_of(simulation)?;
    }
    let kept = kept.map(|kept| kept.seed);
    match (seed, kept) {
        (Some(seed), Some(kept)) if seed != kept => Err(format!(
            "the seed is {seed}, and the plan is a run of seed {kept}"
        )),
        (None, None) => Err(
            "GRID_SIM_PLAN needs GRID_SIM_SEED beside it: what operations do follows from the seed"
                .to_owned(),
        ),
        (seed, kept) => Ok(seed.or(kept).map(|seed| (seed, plan))),
    }
}

/// Runs a simulation as the environment asks, as [`simulation!`](crate::simulation) does.
///
/// # Errors
/// The report of the first run that fails, made small, with the line that repeats it, which ends
/// with `command`; or what is wrong with the environment or the simulation.
pub fn check(simulation: &Simulation, command: &str) -> Result<(), String> {
    simulation.can_be_played()?;
    let (seed, plan) = (number("GRID_SIM_SEED")?, text("GRID_SIM_PLAN")?);
    if let Some((seed, plan)) = asked_for(simulation, seed, plan.as_deref())? {
        plan.fits(simulation)?;
        let outcome = simulation.record(seed, &plan);
        if outcome.failure.is_some() {
            return Err(report(&outcome, command));
        }
        println!("{outcome}; trace hash {:016x}", outcome.trace_hash);
        return Ok(());
    }
    match number("GRID_SIM_RUNS")?.unwrap_or(RUNS) {
        0 => Err("GRID_SIM_RUNS is 0: no run can fail".to_owned()),
        runs => check_runs(simulation, runs, command),
    }
}

fn check_runs(simulation: &Simulation, runs: u64, command: &str) -> Result<(), String> {
    let two_traces = |seed: u64| {
        format!(
            "{}: seed {seed} gave two traces: something draws time, chance or order from outside",
            simulation.name()
        )
    };
    let summary = simulation.sweep(0..runs, 0);
    if let Some(failing) = summary.failures.first() {
        let again = simulation.run(failing.seed);
        if again.trace_hash != failing.trace_hash || again.failure.is_none() {
            let failure = failing.failure.as_deref().unwrap_or_default();
            return Err(format!(
                "{}; it failed: {failure}",
                two_traces(failing.seed)
            ));
        }
        let shrunk = simulation.shrink(failing, SHRINK_RUNS);
        return Err(format!(
            "{} of {} runs failed, the first of: {}\nit had a plan of {} parts before {} runs made it \
             small\n{}",
            summary.failed,
            summary.runs,
            failing.failure.as_deref().unwrap_or_default(),
            shrunk.size_before,
            shrunk.runs,
            report(&shrunk.outcome, command)
        ));
    }
    for seed in 0..runs.min(TWICE) {
        if !summary.traces.contains(&simulation.run(seed).trace_hash) {
            return Err(two_traces(seed));
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
        "{}, seed {}: {failure}\n\n{}\n{files}\ntrace hash {:016x}\nreplay it:\n{} {command}",
        outcome.simulation,
        outcome.seed,
        timeline::render(outcome),
        outcome.trace_hash,
        outcome.replay()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{"ops":{"0":"1"},"faults":[]}"#;
    const KEPT: &str = r#"{"scenario":"small","seed":7,"broke":"it",
        "plan":{"ops":{"0":"1"},"faults":[]}}"#;

    fn small() -> Simulation {
        Simulation::new("small")
    }

    fn seed_of(seed: Option<u64>, plan: Option<&str>) -> Result<Option<u64>, String> {
        let asked = asked_for(&small(), seed, plan)?;
        Ok(asked.map(|(seed, _)| seed))
    }

    #[test]
    fn one_run_is_asked_for_by_seed_or_file() {
        assert_eq!(seed_of(None, None), Ok(None));
        let (_, all) = asked_for(&small(), Some(3), None).unwrap().unwrap();
        assert_eq!(all, small().plan(3));
        let (seed, left) = asked_for(&small(), Some(3), Some(PLAN)).unwrap().unwrap();
        assert_eq!((seed, left.op_count()), (3, 1));
        assert_eq!(seed_of(None, Some(KEPT)), Ok(Some(7)));
        assert_eq!(seed_of(Some(7), Some(KEPT)), Ok(Some(7)));
    }

    #[test]
    fn a_plan_of_another_run_is_refused() {
        let without = seed_of(None, Some(PLAN)).unwrap_err();
        assert!(without.contains("needs GRID_SIM_SEED"), "{without}");
        let other = seed_of(Some(8), Some(KEPT)).unwrap_err();
        assert!(other.contains("a run of seed 7"), "{other}");
        let another = asked_for(&Simulation::new("big"), None, Some(KEPT)).unwrap_err();
        assert_eq!(another, "it is of the scenario `small`");
    }

    #[test]
    fn nobody_to_play_is_no_success() {
        for empty in [small().devices(0), small().servers(0), small().servers(5)] {
            let told = check(&empty, "cargo test").unwrap_err();
            assert!(told.starts_with("the simulation has"), "{told}");
        }
    }

    #[test]
    fn an_absence_that_no_run_can_play_is_told() {
        let away = [crate::scenario::FaultKind::LongAbsence];
        let for_a_month = small().always(away);
        let drawn = small().faults(1, away.map(|kind| (kind, 1)));
        for long in [&for_a_month, &drawn] {
            let told = check(long, "cargo test").unwrap_err();
            assert!(
                told.contains("`retention_ms`, which is 2592000000"),
                "{told}"
            );
            assert_eq!(long.run(1).failure, Some(told));
        }
        let for_a_minute = for_a_month.settings(|settings| settings.retention_ms = 60_000);
        assert_eq!(for_a_minute.run(1).failure, None);
    }
}
