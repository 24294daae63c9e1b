//! `cargo xtask sim`: the scenarios of this repository in the simulator.

use crate::failure::Result;
use crate::workspace::cargo;

/// Run the client and the server that ship on simulated time, links, disks and stores.
#[derive(Debug, clap::Args)]
pub(crate) struct Sim {
    /// `--runs N`, `--mutations`, `--scenario NAME --seed N`, …; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Sim {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        cargo()
            .args(["run", "--release", "--package", "grid-sim", "--"])
            .args(&self.arguments)
            .run()
    }
}
