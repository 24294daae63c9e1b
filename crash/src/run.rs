//! A whole run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Result};
use grid_testkit::crash::Verdict;
use hybrid_grid::tokio_runtime::TokioRuntime;
use tempfile::TempDir;

use crate::arguments::{Arguments, Plant};
use crate::database::Database;
use crate::life::{Birth, Life, Tally};
use crate::report::Report;

/// How many kills there are between two comparisons.
const KILLS_PER_EXAMINATION: u32 = 5;
/// How many kills one life goes through, and ...
const KILLS_PER_LIFE: u32 = 25;
/// ... after how many ops it ends before that: what a run holds in memory has a bound, however
/// long it is.
const OPS_PER_LIFE: usize = 60_000;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("there are no threads to be had").with_source(error));
    let report = runtime.and_then(|tokio| tokio.block_on(run(&arguments)));
    match report {
        Ok(report) if report.is_as_it_should(arguments.kills, arguments.plant.is_some()) => {
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs lives until there were kills enough, and prints what came of them.
async fn run(arguments: &Arguments) -> Result<Report> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed}");
    let program = program(match arguments.plant {
        None => "grid-server",
        Some(Plant::AckEarly) => "grid-crash-ack-early",
    })?;
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current()?);
    let database = Database::start(arguments.store).await?;
    if !database.is_apart() {
        eprintln!(
            "this database is part of the server: it falls with it, and is killed by no kill of its own"
        );
    }
    let mut tally = Tally {
        wanted: arguments.kills,
        ..Tally::default()
    };
    let mut total = Verdict::default();
    let mut number = 0;
    while !tally.is_reached() && total.is_clean() {
        number += 1;
        let folder = make_folder()?;
        let birth = Birth {
            runtime: runtime.clone(),
            database: &database,
            program: &program,
            folder: folder.path().to_owned(),
            number,
            seed: seed.wrapping_add(number),
        };
        let verdict = live(birth, &mut tally).await.unwrap_or_else(|error| {
            // What does not come back, or never comes to rest, is a finding.
            let mut verdict = Verdict::default();
            verdict.diverged(error);
            verdict
        });
        for finding in &verdict.findings {
            eprintln!("{finding}");
        }
        leave(folder, verdict.is_clean() || arguments.plant.is_some())?;
        total.add(verdict);
    }
    let report = Report::new(tally.server, tally.database, &total);
    let line = serde_json::to_string(&report);
    println!(
        "{}",
        line.map_err(|error| failed("the report").with_source(error))?
    );
    Ok(report)
}

/// One life, until it was killed often enough, or something was found.
async fn live(birth: Birth<'_>, tally: &mut Tally) -> Result<Verdict> {
    let number = birth.number;
    let mut life = Life::begin(birth).await?;
    let at_birth = tally.kills();
    let mut examined = at_birth;
    loop {
        life.strike(tally).await?;
        let grown_old =
            tally.kills() >= at_birth + KILLS_PER_LIFE || life.ledger.len() > OPS_PER_LIFE;
        let last = tally.is_reached() || grown_old;
        if !last && tally.kills() < examined + KILLS_PER_EXAMINATION {
            continue;
        }
        examined = tally.kills();
        let mut verdict = life.examine(last).await?;
        eprintln!(
            "life {number}, after kill {examined}: {} ops acknowledged, {} seen by the watcher; \
             lost {}, doubled {}, diverged {}",
            verdict.acked,
            life.stream.len(),
            verdict.lost,
            verdict.doubled,
            verdict.diverged
        );
        if last || !verdict.is_clean() {
            if let Err(error) = life.end().await {
                verdict.diverged(error);
            }
            return Ok(verdict);
        }
    }
}

/// The server's program, beside this one.
fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe();
    let own = own.map_err(|error| failed("this program has no path").with_source(error))?;
    let program = own.with_file_name(name);
    if program.exists() {
        return Ok(program);
    }
    let message = "the server is not built: run `cargo xtask crash`, or `cargo build` with the \
                   packages grid-server and grid-crash";
    Err(Error::new(ErrorKind::NotFound, "crash test", message).with("path", program.display()))
}

fn make_folder() -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix("grid-crash-").tempdir();
    made.map_err(|error| failed("a folder cannot be made").with_source(error))
}

/// Removes the folder of a life that went as it should; what went wrong is for people to look at.
fn leave(folder: TempDir, as_it_should: bool) -> Result<()> {
    if !as_it_should {
        eprintln!("everything of this life is in {}", folder.keep().display());
        return Ok(());
    }
    let removed = folder.close();
    removed.map_err(|error| failed("a folder cannot be removed").with_source(error))
}

fn failed(message: &str) -> Error {
    Error::new(ErrorKind::Internal, "crash test", message.to_owned())
}
