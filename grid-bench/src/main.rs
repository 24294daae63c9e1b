//! Figures of the grid, beside the targets they are held against and the limits of the hardware.
//!
//! `cargo xtask bench SUITE` runs this optimised. Each suite is one file of [`suites`] and returns
//! [`figure::Figure`]s; how time is taken lives in [`clock`], how figures are shown in [`report`].

mod clock;
mod figure;
mod report;
mod suites;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Measure a suite and print its figures beside their targets and limits.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// What to measure.
    suite: suites::Suite,
    /// Also write the figures to this file, as a JSON array.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cfg!(debug_assertions) {
        eprintln!("note: this was built without optimisation; the figures say little");
    }
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    let figures = cli.suite.measure().map_err(|error| error.to_string())?;
    print!("{}", report::table(&figures));
    if let Some(path) = &cli.json {
        std::fs::write(path, report::json(&figures))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
