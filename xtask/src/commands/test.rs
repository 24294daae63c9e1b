//! `cargo xtask test`: everything that must hold, step by step, and one line that sums it up.

use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::failure::{Failure, Result};
use crate::steps::{STEPS, Step};
use crate::tools;
use crate::workspace::Workspace;

/// Format, lint, build and test everything; install what is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Only these steps (can be given several times).
    #[arg(long, value_name = "STEP", value_parser = step_names())]
    only: Vec<String>,
}

/// How one step went.
#[derive(Debug)]
struct Outcome {
    name: &'static str,
    counts: Counts,
    failure: Option<Failure>,
    took: Duration,
}

impl Test {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        let workspace = Workspace::load()?;
        let outcomes: Vec<Outcome> = STEPS
            .iter()
            .filter(|step| self.only.is_empty() || self.only.iter().any(|name| name == step.name))
            .map(|step| take(step, &workspace))
            .collect();
        let ended = tools::stop_servers();
        let mut sum = summarize(&outcomes);
        if let Err(failure) = ended {
            println!("{failure}");
            sum.failed += 1;
        }
        // The last line, whatever happened: people and machines read the run by it.
        println!("{sum}");
        if sum.failed == 0 {
            Ok(())
        } else {
            std::process::exit(1)
        }
    }
}

fn step_names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Takes one step. One that fails without a failed test counts as one failed test.
fn take(step: &Step, workspace: &Workspace) -> Outcome {
    println!("\n== {}: {}", step.name, step.promise);
    let start = Instant::now();
    let mut counts = Counts::default();
    let failure = (step.run)(workspace, &mut counts).err();
    if let Some(failure) = &failure {
        println!("{} failed: {failure}", step.name);
    }
    if failure.is_some() && counts.failed == 0 {
        counts.failed = 1;
    }
    Outcome {
        name: step.name,
        counts,
        failure,
        took: start.elapsed(),
    }
}

/// Prints a table of the steps and what failed, and returns the sum.
fn summarize(outcomes: &[Outcome]) -> Counts {
    println!(
        "\n{:<10} {:>8} {:>8} {:>8} {:>8}",
        "step", "passed", "failed", "ignored", "seconds"
    );
    let mut sum = Counts::default();
    for outcome in outcomes {
        let Counts {
            passed,
            failed,
            ignored,
        } = outcome.counts;
        println!(
            "{:<10} {passed:>8} {failed:>8} {ignored:>8} {:>8}",
            outcome.name,
            outcome.took.as_secs()
        );
        sum += outcome.counts;
    }
    for outcome in outcomes {
        if let Some(failure) = &outcome.failure {
            println!("{} failed: {failure}", outcome.name);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace::load().expect("these tests run in the workspace")
    }

    #[test]
    fn a_step_that_fails_without_a_count_counts_as_one_failed() {
        let step = Step {
            name: "broken",
            promise: "nothing",
            run: |_, _| Err(Failure::new("broken")),
        };
        let outcome = take(&step, &workspace());
        assert_eq!(outcome.counts.failed, 1);
        assert_eq!(summarize(&[outcome]).to_string(), "0 passed, 1 failed");
    }

    #[test]
    fn failed_tests_are_counted_once() {
        let step = Step {
            name: "tests",
            promise: "nothing",
            run: |_, counts| {
                counts.passed = 5;
                counts.failed = 3;
                Err(Failure::new("three tests failed"))
            },
        };
        let outcome = take(&step, &workspace());
        assert_eq!(summarize(&[outcome]).to_string(), "5 passed, 3 failed");
    }

    #[test]
    fn a_failed_test_is_seen_even_if_the_runner_ends_well() {
        let step = Step {
            name: "tests",
            promise: "nothing",
            run: |_, counts| {
                counts.failed = 2;
                Ok(())
            },
        };
        assert_eq!(summarize(&[take(&step, &workspace())]).failed, 2);
    }
}
