//! `cargo xtask book`: the guide.

use crate::failure::Result;
use crate::steps::guide;
use crate::workspace::Workspace;

/// Build the guide; install mdBook if need be.
#[derive(Debug, clap::Args)]
pub(crate) struct Book {
    /// Open it in a browser.
    #[arg(long)]
    open: bool,
}

impl Book {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        let workspace = Workspace::load()?;
        let build = guide::build(&workspace)?;
        if self.open {
            build.arg("--open")
        } else {
            build
        }
        .run()
    }
}
