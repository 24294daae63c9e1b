//! The guide. Its code blocks are doc tests of the package `grid-book`.

use super::Step;
use crate::failure::Result;
use crate::invocation::Invocation;
use crate::tools;
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "guide",
    promise: "mdBook builds the guide",
    run: |workspace, _counts| build(workspace)?.run(),
};

/// The command that builds the guide into the folder `book` of the target directory.
///
/// # Errors
/// When mdBook cannot be had.
pub(crate) fn build(workspace: &Workspace) -> Result<Invocation> {
    Ok(tools::mdbook()?
        .directory(&workspace.root)
        .args(["build", "book", "--dest-dir"])
        .arg(workspace.target.join("book")))
}
