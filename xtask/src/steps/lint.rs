//! Lints.

use std::fs;
use std::path::Path;

use super::Step;
use crate::counts::Counts;
use crate::failure::{Failure, Result};
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "lint",
    promise: "clippy has nothing to say, and no source file is too long",
    run,
};

/// A file of this many lines or more holds more than one idea.
const MAX_FILE_LINES: usize = 500;

fn run(workspace: &Workspace, _counts: &mut Counts) -> Result<()> {
    let lengths = check_lengths(workspace);
    let lints = workspace
        .cargo()
        .args(["clippy", "--workspace", "--all-targets", "--locked"])
        .args(["--", "--deny", "warnings"])
        .run();
    lengths.and(lints)
}

fn check_lengths(workspace: &Workspace) -> Result<()> {
    let listed = crate::invocation::Invocation::new("git")
        .directory(&workspace.root)
        .args(["ls-files", "-z", "*.rs"])
        .capture()?;
    let mut long = Vec::new();
    for file in listed.split_terminator('\0') {
        let lines = lines_of(&workspace.root.join(file))?;
        if lines >= MAX_FILE_LINES {
            long.push(format!("{file} has {lines} lines"));
        }
    }
    if long.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "files stay under {MAX_FILE_LINES} lines: {}",
            long.join(", ")
        )))
    }
}

fn lines_of(file: &Path) -> Result<usize> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.lines().count()),
        // Removed, but not yet from the index.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Failure::new(format!("{}: {error}", file.display()))),
    }
}
