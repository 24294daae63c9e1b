//! `cargo xtask sim`: runs the scenarios of this repository.

#![expect(
    clippy::disallowed_methods,
    reason = "it tells how long it took; nothing of what it runs sees that clock"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use grid_core::mutation::Mutation;
use grid_sim::{mutations, report, scenarios};
use grid_testkit::CountingAllocator;
use grid_testkit::scenario::{self, KeptRun, Outcome, Plan, Simulation, Summary};

/// Lets every run see that its memory is bounded and given back.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Runs the client and the server that ship on simulated time, links, disks and stores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim")]
struct Arguments {
    /// How many runs, over all scenarios.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["single", "mutations"])]
    runs: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0, conflicts_with_all = ["single", "mutations"])]
    first: u64,
    /// Only this scenario.
    #[arg(long)]
    scenario: Option<String>,
    /// Only this seed of the scenario, with all that happens in it.
    #[arg(long, requires = "scenario", group = "single", env = "GRID_SIM_SEED")]
    seed: Option<u64>,
    /// What is left of the seed's plan: JSON, or a file with it.
    #[arg(long, requires = "seed", env = "GRID_SIM_PLAN")]
    plan: Option<String>,
    /// Replays a run that a failure wrote, or one of `sim/plans`.
    #[arg(long, value_name = "FILE", group = "single", conflicts_with_all = ["scenario", "plan"])]
    replay: Option<PathBuf>,
    /// Draws the run of `--seed` or `--replay` as a sequence diagram, a page for a browser.
    #[arg(long, value_name = "FILE", requires = "single")]
    html: Option<PathBuf>,
    /// Plants each deliberate bug and looks how many runs find it.
    #[arg(long, conflicts_with_all = ["single", "scenario", "plan", "plant"])]
    mutations: bool,
    /// Plants one deliberate bug in all that runs, by its name in the table of `--mutations`.
    #[arg(long, value_name = "MUTATION")]
    plant: Option<String>,
    /// How often each bug is looked for, from other seeds.
    #[arg(long, requires = "mutations", default_value_t = mutations::TRIALS, value_parser = clap::value_parser!(u64).range(1..))]
    trials: u64,
    /// How many runs a failure may be made small with.
    #[arg(long, default_value_t = 1000, conflicts_with_all = ["single", "mutations"])]
    shrink_runs: usize,
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0, conflicts_with_all = ["single", "mutations"])]
    threads: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    if arguments.mutations {
        return look_for_mutations(arguments.trials);
    }
    if let Some(file) = &arguments.replay {
        let kept = KeptRun::read(file)?;
        let simulation = planted(arguments, scenarios::named(&kept.scenario)?)?;
        return replay(arguments, &simulation, kept.seed, &kept.plan);
    }
    let chosen = match &arguments.scenario {
        Some(name) => vec![scenarios::named(name)?],
        None => scenarios::all(),
    };
    let chosen = chosen.into_iter().map(|one| planted(arguments, one));
    let chosen = chosen.collect::<Result<Vec<Simulation>, String>>()?;
    if let (Some(seed), Some(simulation)) = (arguments.seed, chosen.first()) {
        let plan = arguments.plan.as_deref();
        let (seed, plan) =
            scenario::asked_for(simulation, Some(seed), plan)?.ok_or("a seed asks for a run")?;
        return replay(arguments, simulation, seed, &plan);
    }
    sweep(arguments, &chosen)
}

/// The simulation, with the bug that was asked for.
fn planted(arguments: &Arguments, simulation: Simulation) -> Result<Simulation, String> {
    let Some(name) = &arguments.plant else {
        return Ok(simulation);
    };
    let mut all = Mutation::ALL.iter().chain(Mutation::APART).copied();
    let mutation = all.find(|mutation| format!("{mutation:?}") == *name);
    let mutation = mutation.ok_or_else(|| format!("there is no mutation `{name}`"))?;
    Ok(simulation.mutation(mutation))
}

fn replay(
    arguments: &Arguments,
    simulation: &Simulation,
    seed: u64,
    plan: &Plan,
) -> Result<bool, String> {
    let outcome = simulation.record(seed, plan);
    show(arguments, simulation, &outcome);
    if let Some(file) = &arguments.html {
        let written = std::fs::write(file, scenario::render_diagram(&outcome));
        written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(outcome.failure.is_none())
}

fn sweep(arguments: &Arguments, chosen: &[Simulation]) -> Result<bool, String> {
    let begin = Instant::now();
    let mut total = Summary::default();
    let count = chosen.len() as u64;
    for (index, simulation) in chosen.iter().enumerate() {
        let share = arguments.runs / count + u64::from((index as u64) < arguments.runs % count);
        let seeds = arguments.first..arguments.first + share;
        let summary = simulation.sweep(seeds, arguments.threads);
        println!(
            "{:<14} {:>6} runs, {} failed; {}",
            simulation.name(),
            summary.runs,
            summary.failed,
            report::least(&summary)
        );
        if let Some(failing) = summary.failures.first() {
            let shrunk = simulation.shrink(failing, arguments.shrink_runs);
            println!(
                "seed {} failed; its plan of {} parts was made small in {} runs",
                failing.seed, shrunk.size_before, shrunk.runs
            );
            show(arguments, simulation, &shrunk.outcome);
        }
        total.merge(summary);
    }
    println!("{}", report::json(&total, begin.elapsed().as_secs_f64()));
    Ok(total.failed == 0)
}

/// Shows a recorded run.
fn show(arguments: &Arguments, simulation: &Simulation, outcome: &Outcome) {
    if outcome.failure.is_none() {
        println!("{}{}", scenario::render_timeline(outcome), outcome);
        println!("trace hash {:016x}", outcome.trace_hash);
        return;
    }
    let mut command = format!("cargo xtask sim --scenario {}", simulation.name());
    if let Some(mutation) = &arguments.plant {
        command.push_str(" --plant ");
        command.push_str(mutation);
    }
    println!("{}", scenario::report(outcome, &command));
}

/// A table of all mutations, and whether all of them were found. A run that shows each is written
/// down, as a diagram too.
fn look_for_mutations(trials: u64) -> Result<bool, String> {
    let pages = scenario::output_folder().join("mutations");
    println!(
        "{:<20} {:>12} {:>12}  what broke",
        "mutation", "median runs", "plan left"
    );
    let mut found = 0;
    for &mutation in Mutation::ALL {
        let finding = mutations::look_for(mutation, trials);
        found += usize::from(finding.found());
        let runs = finding
            .median_runs()
            .map_or("not found".to_owned(), |runs| runs.to_string());
        let left = finding
            .median_percent()
            .map_or(String::new(), |left| format!("{left} %"));
        let example = finding.example.as_ref();
        if let Some(example) = example {
            let folder = pages.join(format!("{mutation:?}"));
            scenario::write_run(example, &folder)?;
        }
        let broke = example.and_then(|one| one.failure.as_deref()).unwrap_or("");
        let broke: String = broke.chars().take(110).collect();
        println!(
            "{:<20} {runs:>12} {left:>12}  {broke}",
            format!("{mutation:?}")
        );
    }
    println!("a run that shows each is drawn in {}", pages.display());
    println!(
        "{{\"mutations\":{},\"found\":{found}}}",
        Mutation::ALL.len()
    );
    Ok(found == Mutation::ALL.len())
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn parsed(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(["sim"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for (line, kind) in [
            ("--html run.html", ErrorKind::MissingRequiredArgument),
            (
                "--html run.html --runs 5",
                ErrorKind::MissingRequiredArgument,
            ),
            (
                "--scenario mixed --html a",
                ErrorKind::MissingRequiredArgument,
            ),
            ("--runs 0", ErrorKind::ValueValidation),
            ("--mutations --trials 0", ErrorKind::ValueValidation),
            ("--mutations --scenario mixed", ErrorKind::ArgumentConflict),
            ("--mutations --runs 5", ErrorKind::ArgumentConflict),
            ("--mutations --threads 1", ErrorKind::ArgumentConflict),
            ("--replay a.json --first 3", ErrorKind::ArgumentConflict),
            ("--trials 3", ErrorKind::MissingRequiredArgument),
            (
                "--replay a.json --scenario mixed --seed 1",
                ErrorKind::ArgumentConflict,
            ),
        ] {
            let refused = parsed(line).expect_err(line);
            assert_eq!(refused.kind(), kind, "{line}: {refused}");
        }
        for line in [
            "--scenario mixed --seed 1 --html a",
            "--replay a.json --html a",
            "--runs 1 --plant StaleRead",
            "--mutations --trials 3",
        ] {
            assert!(parsed(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_kept_plan_of_another_run_is_refused() {
        let plan = r#"{"scenario":"mixed","seed":7,"broke":"","plan":{"ops":{},"faults":[]}}"#;
        let told = |scenario: &str, seed: &str| {
            let line = [
                "sim",
                "--scenario",
                scenario,
                "--seed",
                seed,
                "--plan",
                plan,
            ];
            run(&Arguments::parse_from(line)).expect_err("another run")
        };
        let seed = told("mixed", "8");
        assert!(seed.contains("a run of seed 7"), "{seed}");
        assert_eq!(told("ties", "7"), "it is of the scenario `mixed`");
    }
}
