//! A server with a planted bug: it acknowledges before it journals. To see that the crash test
//! finds that.

use std::process::ExitCode;

fn main() -> ExitCode {
    match grid_crash::serve_ack_early() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grid-crash-ack-early: {error}");
            ExitCode::FAILURE
        }
    }
}
