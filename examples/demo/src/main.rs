//! The demo: two devices and a server, a cut of the network, edits on both sides, kill -9, and the
//! proof at the end that both devices agree and nothing is lost.

mod device;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::story::Story;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), pace) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: grid-demo PATH-OF-GRID-SERVER [--fast]; `cargo xtask demo` does it all");
        return ExitCode::from(2);
    };
    let fast = pace.as_deref() == Some("--fast");
    match Story::tell(PathBuf::from(server), fast).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}
