//! `cargo xtask demo`: two devices and a server, live in the terminal.

use crate::failure::Result;
use crate::workspace::Workspace;

/// Show the main job live: two devices, a cut of the network, a killed server, and nothing lost.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Leave out the pauses for reading.
    #[arg(long)]
    fast: bool,
}

impl Demo {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        demo(&Workspace::load()?, self.fast)
    }
}

/// Builds the server and the demo, and runs it.
///
/// # Errors
/// When something does not build, or what the demo shows is not so.
pub(crate) fn demo(workspace: &Workspace, fast: bool) -> Result<()> {
    println!("building the server and the demo; the first time takes a few minutes …");
    workspace
        .cargo()
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "grid-server",
            "--package",
            "grid-demo",
        ])
        .run()?;
    let programs = workspace.target.join("debug");
    let mut story = crate::invocation::Invocation::new(programs.join("grid-demo"))
        .arg(programs.join("grid-server"));
    if fast {
        story = story.arg("--fast");
    }
    story.run()
}
