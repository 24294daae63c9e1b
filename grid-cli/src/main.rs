//! The program `grid`: a local-first device of the hybrid grid, in the terminal.

mod admin;
mod args;
mod commands;
mod exit;
mod import;
mod output;
mod session;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::exit::Stop;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(&args)) {
        Ok(outcome) => outcome.into(),
        Err(stop) => {
            if !matches!(stop, Stop::ReaderGone) {
                eprintln!("error: {stop}");
            }
            stop.code()
        }
    }
}
