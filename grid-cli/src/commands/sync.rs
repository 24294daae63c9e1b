//! `grid sync`.

use std::time::Duration;

use serde_json::json;

use crate::exit::{Outcome, Result};
use crate::output::Output;
use crate::session::Session;

/// How long to try unless told otherwise.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// Pushes what is pending and catches up with the maps.
pub(crate) async fn sync(session: &Session, output: Output, maps: &[String]) -> Result<Outcome> {
    // Kept open until the end, so that they are followed.
    let open = maps
        .iter()
        .map(|map| session.map(map))
        .collect::<Result<Vec<_>>>()?;
    let done = session.flushed().await?;
    let rejected = session.rejected();
    for map in &open {
        let (name, entries, synced) = (map.name().as_str(), map.len(), map.is_synced());
        let state = if synced {
            "level with the server"
        } else {
            "not level yet"
        };
        let rejected = rejected
            .iter()
            .filter(|rejected| rejected.map == *map.name())
            .count();
        let line = json!({
            "map": name,
            "entries": entries,
            "synced": synced,
            "rejected": rejected,
        });
        output.result(&format!("{name}: {entries} entries, {state}"), &line)?;
    }
    if done {
        return Ok(Outcome::Done);
    }
    eprintln!("not done: {}", session.why_pending());
    Ok(Outcome::Pending)
}
