//! The program `grid`: a local-first device of the hybrid grid, in the terminal.

mod args;
mod commands;
mod exit;
mod import;
mod output;
mod session;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::exit::Outcome;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return Outcome::Failed.into();
        }
    };
    let outcome = runtime
        .block_on(commands::run(&args))
        .unwrap_or_else(|error| {
            eprintln!("error: {error}");
            Outcome::Failed
        });
    outcome.into()
}
