//! The reference that rustdoc makes of the crates.

use super::Step;
use crate::invocation::Invocation;
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "reference",
    promise: "rustdoc builds the reference of every crate without a warning",
    run: |workspace, _counts| build(workspace).run(),
};

/// The command that builds the reference; a warning is an error.
pub(crate) fn build(workspace: &Workspace) -> Invocation {
    workspace
        .cargo()
        .args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "--deny warnings")
}
