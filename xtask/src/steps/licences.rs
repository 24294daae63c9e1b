//! Licences, bans and sources of the crates we depend on.

use super::Step;
use crate::counts::Counts;
use crate::failure::Result;
use crate::tools;
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "licences",
    promise: "every crate we depend on has a licence and a source that deny.toml allows",
    run,
};

fn run(workspace: &Workspace, _counts: &mut Counts) -> Result<()> {
    // Advisories are not checked: their database is not on a package registry.
    tools::cargo_deny()?
        .directory(&workspace.root)
        .args(["--workspace", "--all-features", "--locked"])
        .args([
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ])
        .run()
}
