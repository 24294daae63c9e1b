//! The steps of `cargo xtask test`, one file each, in the order in which they run.

mod crash;
mod demo;
mod features;
mod format;
mod fuzz;
mod licences;
mod lint;
mod tests;
mod wasm;

pub(crate) mod guide;
pub(crate) mod reference;

use crate::counts::Counts;
use crate::failure::Result;
use crate::workspace::Workspace;

/// One thing that must hold.
#[derive(Debug)]
pub(crate) struct Step {
    /// What to call it on the command line.
    pub(crate) name: &'static str,
    /// What holds when it succeeds.
    pub(crate) promise: &'static str,
    /// Checks it, and adds the tests that ran.
    pub(crate) run: fn(&Workspace, &mut Counts) -> Result<()>,
}

/// All steps: the quick ones that fail most often come first.
pub(crate) const STEPS: &[Step] = &[
    format::STEP,
    lint::STEP,
    licences::STEP,
    tests::STEP,
    fuzz::STEP,
    crash::STEP,
    demo::STEP,
    features::STEP,
    reference::STEP,
    guide::STEP,
    wasm::STEP,
];
