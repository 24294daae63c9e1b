//! `grid put` and `grid rm`.

use hybrid_grid::{Error, ErrorKind, Fate, NotAcked, Result, WriteHandle};
use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::output::Output;
use crate::session::Session;

/// Sets an entry.
pub(crate) async fn put(
    session: &Session,
    output: Output,
    map: &str,
    key: &str,
    text: &str,
) -> Result<Outcome> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Error::new(
            ErrorKind::Invalid,
            "put",
            "the value is not JSON; a text needs its quotes, as in '\"milk\"'",
        )
        .with_source(error)
    })?;
    let write = session.map(map)?.put(key, &value).await?;
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
    let op = write.op().to_string();
    if session.is_offline() {
        output.json_only(&json!({ "op": op, "outcome": "kept" }))?;
        return Ok(Outcome::Done);
    }
    if !session.flushed().await? {
        eprintln!("kept on this device: {}", session.why_pending());
        output.json_only(&json!({ "op": op, "outcome": "pending" }))?;
        return Ok(Outcome::Pending);
    }
    match write.acked().await {
        Ok(Fate::Superseded { by }) => {
            eprintln!("superseded: the server has a later version, {by}");
            let by = by.to_string();
            output.json_only(&json!({ "op": op, "outcome": "superseded", "by": by }))?;
            Ok(Outcome::Done)
        }
        Ok(_) => {
            output.json_only(&json!({ "op": op, "outcome": "acked" }))?;
            Ok(Outcome::Done)
        }
        Err(NotAcked::Rejected(rejected)) => {
            eprintln!("error: {rejected}");
            output.json_only(&json!({
                "op": op,
                "outcome": "rejected",
                "reason": rejected.reason.to_string(),
                "message": rejected.message,
            }))?;
            Ok(Outcome::Failed)
        }
        Err(closed) => Err(Error::new(
            ErrorKind::Closed,
            "wait for the server",
            closed.to_string(),
        )),
    }
}
