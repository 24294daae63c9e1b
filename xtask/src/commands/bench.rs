//! `cargo xtask bench SUITE`: figures beside their targets and limits.

use crate::failure::Result;
use crate::workspace::cargo;

/// Measure a suite and print its figures beside their targets and limits.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// What to measure, and options of the suite, such as `--json FILE`; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<String>,
}

impl Bench {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        // Here, so that the paths among the arguments mean what the person meant.
        cargo()
            .args(["run", "--release", "--package", "grid-bench", "--"])
            .args(&self.arguments)
            .run()
    }
}
