//! The commands of this repository: `cargo xtask COMMAND`.
//!
//! Each command is one file of [`commands`]; `test` is a list of [`steps`], each again one file.
//! What runs programs lives in [`invocation`], what installs them in [`tools`]. Nothing here is
//! part of the grid, and nothing of the grid is linked here, so that this builds in seconds.

#![expect(
    clippy::disallowed_methods,
    reason = "a build tool reads the clock and starts threads itself; only the grid is handed them"
)]

mod commands;
mod counts;
mod failure;
mod invocation;
mod steps;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// The commands of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
