//! The tests of all crates.

use super::Step;
use crate::counts::Counts;
use crate::failure::{Failure, Result};
use crate::tools;
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "tests",
    promise: "every test of every crate passes, in code, docs, examples and book",
    run,
};

fn run(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    let tests = workspace
        .cargo()
        .env("GRID_TEST_AIRPORTS", tools::airports()?)
        .args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    tools::with_servers(workspace, tests)?.count(counts)?;
    if counts.passed == 0 {
        return Err(Failure::new("cargo test ran no test"));
    }
    Ok(())
}
