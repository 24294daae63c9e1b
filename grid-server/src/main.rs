//! The program `grid-server`.

use std::process::ExitCode;

fn main() -> ExitCode {
    grid_server::program::run(&[])
}
