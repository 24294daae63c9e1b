//! `cargo xtask fuzz`: looks for inputs that break a promise.

use crate::failure::{Failure, Result};
use crate::tools::CargoFuzz;
use crate::workspace::Workspace;

/// Look for inputs that break what a target of `grid-fuzz` promises; install what is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Fuzz {
    /// The targets; all of them if none is named.
    targets: Vec<String>,
    /// For how long each, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

impl Fuzz {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        let fuzzer = CargoFuzz::ensure(&Workspace::load()?)?;
        let known = fuzzer.targets()?;
        if let Some(unknown) = self.targets.iter().find(|name| !known.contains(name)) {
            return Err(Failure::new(format!(
                "there is no target `{unknown}`; there are {}",
                known.join(", ")
            )));
        }
        let chosen = if self.targets.is_empty() {
            &known
        } else {
            &self.targets
        };
        fuzzer.build()?;
        for target in chosen {
            fuzzer.run(target, self.seconds)?;
        }
        Ok(())
    }
}
