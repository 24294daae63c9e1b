//! Formatting.

use super::Step;

pub(super) const STEP: Step = Step {
    name: "format",
    promise: "every file is formatted as rustfmt does",
    run: |workspace, _counts| workspace.cargo().args(["fmt", "--all", "--check"]).run(),
};
