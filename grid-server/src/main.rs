//! The program `grid-server`.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
