//! The databases that the suites need, for as long as somebody holds this program's input open.
//!
//! Prints a line `VARIABLE=URL` for each, then `ready`. A variable that is set already is passed
//! on: its server runs elsewhere.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use grid_testkit::servers::{MONGODB_URL, MongoServer, POSTGRES_URL, PostgresServer};

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let postgres = match set(POSTGRES_URL) {
        Some(url) => (url, None),
        None => {
            let server = PostgresServer::start(false)?;
            (server.url(), Some(server))
        }
    };
    let mongodb = match set(MONGODB_URL) {
        Some(url) => (url, None),
        None => {
            let server = MongoServer::start()?;
            (server.url(), Some(server))
        }
    };
    let mut out = io::stdout();
    writeln!(out, "{POSTGRES_URL}={}", postgres.0)?;
    writeln!(out, "{MONGODB_URL}={}", mongodb.0)?;
    writeln!(out, "ready")?;
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|url| !url.is_empty())
}
