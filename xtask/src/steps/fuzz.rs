//! A brief run of the fuzzer on every target, where it can be had: the same inputs each time.

use super::Step;
use crate::counts::Counts;
use crate::failure::{Failure, Result};
use crate::tools::CargoFuzz;
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "fuzz",
    promise: "no target of grid-fuzz breaks in a brief run; what was found before is replayed by \
              the tests",
    run,
};

/// For each target: the corpus, and some thousands of changes of it. A number and not a time, so
/// that one commit always gives one outcome; `cargo xtask fuzz` is for the search at random.
const RUNS: u32 = 5_000;

fn run(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    let fuzzer = match CargoFuzz::ensure_fixed(workspace) {
        Ok(fuzzer) => fuzzer,
        Err(missing) => {
            println!("left out: {missing}");
            counts.ignored += 1;
            return Ok(());
        }
    };
    fuzzer.build()?;
    let targets = fuzzer.targets()?;
    if targets.is_empty() {
        return Err(Failure::new("the shell in fuzz/ has no target"));
    }
    let mut failures = Vec::new();
    for target in targets {
        match fuzzer.run_fixed(&target, RUNS) {
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
