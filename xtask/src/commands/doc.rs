//! `cargo xtask doc`: the reference of every crate.

use crate::failure::Result;
use crate::steps::reference;
use crate::workspace::Workspace;

/// Build the reference of every crate; a warning is an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Doc {
    /// Open it in a browser.
    #[arg(long)]
    open: bool,
}

impl Doc {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        let build = reference::build(&Workspace::load()?);
        if self.open {
            build.arg("--open")
        } else {
            build
        }
        .run()
    }
}
