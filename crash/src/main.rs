//! `cargo xtask crash`: kills server and database under load, and looks what is left.

use std::process::ExitCode;

fn main() -> ExitCode {
    grid_crash::main()
}
