//! The crash test in its short form.

use super::Step;
use crate::commands::crash::crash;
use crate::counts::Counts;
use crate::failure::{Failure, Result};
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "crash",
    promise: "nothing that was acknowledged is lost or doubled when server and database are killed \
              under load, and a server that acknowledges too early is found",
    run,
};

/// The short form: five kills with each database, and the bug that must be found. Long runs are
/// `cargo xtask crash`.
const RUNS: &[&str] = &[
    "--kills 5 --store postgres --seed 1",
    "--kills 5 --store mongodb --seed 2",
    "--kills 5 --store sqlite --seed 3",
    "--kills 2 --store sqlite --seed 4 --plant ack-early",
];

fn run(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    let mut failures = Vec::new();
    for line in RUNS {
        let words: Vec<&str> = line.split_whitespace().collect();
        match crash(workspace, &words) {
            Ok(()) => counts.passed += 1,
            Err(failure) => {
                counts.failed += 1;
                failures.push(failure.to_string());
            }
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(failures.join("; ")))
    }
}
