//! The demo.

use super::Step;
use crate::commands::demo::demo;
use crate::counts::Counts;
use crate::failure::Result;
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "demo",
    promise: "the demo shows what the README says",
    run,
};

fn run(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    demo(workspace, true)?;
    counts.passed += 1;
    Ok(())
}
