//! `grid get`, `grid ls` and `grid export`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use hybrid_grid::query::Query;
use hybrid_grid::{Error, ErrorKind};
use serde_json::json;

use crate::exit::{Outcome, Result, Stop};
use crate::output::{Output, write_failed};
use crate::session::Session;

/// Prints the value of an entry.
pub(crate) async fn get(
    session: &Session,
    output: Output,
    map: &str,
    key: &str,
) -> Result<Outcome> {
    let entries = session.map(map)?;
    session.freshen().await?;
    match entries.get(key)? {
        Some(value) => {
            let line = json!({ "key": key, "value": value });
            output.result(&value.to_string(), &line)?;
            Ok(Outcome::Done)
        }
        None => {
            eprintln!("there is no entry `{key}` in `{map}`");
            Ok(Outcome::Absent)
        }
    }
}

/// Prints the entries that are asked for.
pub(crate) async fn list(
    session: &Session,
    output: Output,
    map: &str,
    query: Query,
) -> Result<Outcome> {
    let entries = session.map(map)?;
    session.freshen().await?;
    let answer = entries.query(query).get_bytes()?;
    if !answer.complete {
        eprintln!("`{map}` was never complete on this device: entries may be missing");
    }
    for entry in answer.decoded() {
        let (key, value) = entry?;
        output.entry(key.as_str(), Some(&value))?;
    }
    Ok(Outcome::Done)
}

/// Writes all entries as JSON Lines, in the order of their keys' bytes.
pub(crate) async fn export(session: &Session, map: &str, out: Option<&Path>) -> Result<Outcome> {
    let entries = session.map(map)?;
    session.freshen().await?;
    let target: Box<dyn Write> = match out {
        Some(path) => Box::new(create(path)?),
        None => Box::new(io::stdout()),
    };
    let mut target = BufWriter::new(target);
    let failed = |error| write_failed("export", "cannot write all entries", error);
    for entry in entries.iter() {
        let (key, value) = entry?;
        let line = json!({ "key": key.as_str(), "value": value });
        writeln!(target, "{line}").map_err(failed)?;
    }
    target.flush().map_err(failed)?;
    Ok(Outcome::Done)
}

#[expect(
    clippy::disallowed_types,
    reason = "the program writes the file that its user names"
)]
fn create(path: &Path) -> Result<std::fs::File> {
    std::fs::File::create(path).map_err(|error| {
        Stop::Failed(
            Error::new(ErrorKind::Io, "export", "cannot write the file")
                .with("file", path.display())
                .with_source(error),
        )
    })
}
