//! The commands, one file each. A new command is a file here and a line in [`Command`].

mod bench;
mod book;
pub(crate) mod crash;
pub(crate) mod demo;
mod doc;
mod fuzz;
mod setup;
mod sim;
mod test;

use crate::failure::Result;

/// What can be asked for.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Setup(setup::Setup),
    Demo(demo::Demo),
    Test(test::Test),
    Sim(sim::Sim),
    Crash(crash::Crash),
    Fuzz(fuzz::Fuzz),
    Bench(bench::Bench),
    Book(book::Book),
    Doc(doc::Doc),
}

impl Command {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Setup(command) => command.run(),
            Self::Demo(command) => command.run(),
            Self::Test(command) => command.run(),
            Self::Sim(command) => command.run(),
            Self::Crash(command) => command.run(),
            Self::Fuzz(command) => command.run(),
            Self::Bench(command) => command.run(),
            Self::Book(command) => command.run(),
            Self::Doc(command) => command.run(),
        }
    }
}
