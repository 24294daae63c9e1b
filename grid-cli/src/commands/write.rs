//! `grid put` and `grid rm`.

use std::io::Read;

use hybrid_grid::{Error, ErrorKind, Fate, NotAcked, WriteHandle};
use serde_json::{Value, json};

use crate::exit::{Outcome, Result, Stop};
use crate::output::Output;
use crate::session::Session;

/// The value that stands for "read it from standard input".
const STANDARD_INPUT: &str = "-";
/// How much is read from standard input, in bytes: no value has that much.
const MAX_INPUT_BYTES: u64 = 16 * 1024 * 1024;

/// The value that the command line gives.
///
/// # Errors
/// [`Stop::Usage`] when it is no JSON.
pub(crate) fn parse(text: &str) -> Result<Value> {
    let from_input = (text == STANDARD_INPUT).then(read_input).transpose()?;
    let text = from_input.as_deref().unwrap_or(text);
    serde_json::from_str(text).map_err(|error| {
        let message = "the value is not JSON; a text needs its quotes, as in '\"milk\"'";
        Stop::Usage(Error::new(ErrorKind::Invalid, "put", message).with_source(error))
    })
}

fn read_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_INPUT_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| {
            let message = "standard input cannot be read, or is not UTF-8";
            Error::new(ErrorKind::Io, "put", message).with_source(error)
        })?;
    Ok(text)
}

/// Sets an entry.
pub(crate) async fn put(
    session: &Session,
    output: Output,
    map: &str,
    key: &str,
    value: &Value,
) -> Result<Outcome> {
    let write = session.map(map)?.put(key, value).await?;
    finish(session, output, write).await
}

/// Removes an entry.
pub(crate) async fn remove(
    session: &Session,
    output: Output,
    map: &str,
    key: &str,
) -> Result<Outcome> {
    let write = session.map(map)?.remove(key).await?;
    finish(session, output, write).await
}

/// Waits for the server's verdict, and for the device to show what came of it.
async fn finish(session: &Session, output: Output, write: WriteHandle) -> Result<Outcome> {
    let op = write.op();
    let told = |outcome: &str| json!({ "op": op.to_string(), "outcome": outcome });
    if session.is_offline() {
        output.json_only(&told("kept"))?;
        return Ok(Outcome::Done);
    }
    let verdict = match session.verdict(write).await {
        Ok(Some(verdict)) => verdict,
        Ok(None) => {
            eprintln!("kept on this device: {}", session.why_pending());
            output.json_only(&told("pending"))?;
            return Ok(Outcome::Pending);
        }
        Err(stop) => {
            session.tell_pending("kept on this device");
            output.json_only(&told("pending"))?;
            return Err(stop);
        }
    };
    match verdict {
        Ok(Fate::Superseded { by }) => {
            eprintln!("superseded: the server has a later version, {by}");
            let mut line = told("superseded");
            line["by"] = by.to_string().into();
            output.json_only(&line)?;
            Ok(Outcome::Done)
        }
        Ok(_) => {
            output.json_only(&told("acked"))?;
            Ok(Outcome::Done)
        }
        // The session tells why, as it does for writes of earlier commands.
        Err(NotAcked::Rejected(rejected)) => {
            let mut line = told("rejected");
            line["reason"] = rejected.reason.to_string().into();
            line["message"] = rejected.message.into();
            output.json_only(&line)?;
            Ok(Outcome::Rejected)
        }
        Err(closed) => {
            Err(Error::new(ErrorKind::Closed, "wait for the server", closed.to_string()).into())
        }
    }
}
