//! `cargo xtask crash`: server and database, killed under load.

use crate::failure::Result;
use crate::tools;
use crate::workspace::Workspace;

/// Kill server and database under load, and prove that nothing acknowledged is lost or doubled.
#[derive(Debug, clap::Args)]
pub(crate) struct Crash {
    /// `--kills N`, `--store postgres|mongodb|sqlite`, `--seed N`, `--plant ack-early`; `--help`
    /// explains them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Crash {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        crash(&Workspace::load()?, &self.arguments)
    }
}

/// Builds the server and the crash test, installs the database that `arguments` ask for, and runs.
///
/// # Errors
/// When something does not build, or what the run shows is not so.
pub(crate) fn crash(workspace: &Workspace, arguments: &[impl AsRef<str>]) -> Result<()> {
    let words = || arguments.iter().map(AsRef::as_ref);
    if !words().any(|word| word == "--help" || word == "-h") {
        match store(words()) {
            "postgres" => drop(tools::postgres()?),
            "mongodb" => drop(tools::nx27017()?),
            _ => {}
        }
    }
    // In one call, so that both are built from the same libraries.
    workspace
        .cargo()
        .args(["build", "--quiet", "--locked"])
        .args(["--package", "grid-server", "--package", "grid-crash"])
        .run()?;
    let program = workspace.target.join("debug").join("grid-crash");
    crate::invocation::Invocation::new(program)
        .args(words())
        .run()
}

/// The store that the arguments name, or the one that is taken unless they do.
fn store<'a>(mut words: impl Iterator<Item = &'a str>) -> &'a str {
    while let Some(word) = words.next() {
        if word == "--store" {
            return words.next().unwrap_or_default();
        }
        if let Some(name) = word.strip_prefix("--store=") {
            return name;
        }
    }
    "postgres"
}

#[cfg(test)]
mod tests {
    use super::store;

    #[test]
    fn finds_the_store_that_is_asked_for() {
        for (line, expected) in [
            ("--kills 3", "postgres"),
            ("--store mongodb --kills 3", "mongodb"),
            ("--kills 3 --store=sqlite", "sqlite"),
            ("--store", ""),
        ] {
            assert_eq!(store(line.split_whitespace()), expected, "{line}");
        }
    }
}
