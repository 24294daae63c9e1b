//! `grid status`.

use hybrid_grid::Result;
use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::output::Output;
use crate::session::Session;

/// Prints what the device holds and what is pending, without asking the server.
pub(crate) fn status(session: &Session, output: Output) -> Result<Outcome> {
    let status = session.grid.status();
    let mut maps = Vec::new();
    let mut lines = vec![
        format!("store    {}", session.store),
        format!("pending  {}", status.pending),
        format!("acked    {}", status.decided),
    ];
    for map in &status.maps {
        let cursor: Vec<Value> = map
            .cursor
            .iter()
            .map(|(partition, at)| json!([partition.0, at.0]))
            .collect();
        let places: Vec<String> = map
            .cursor
            .iter()
            .map(|(partition, at)| format!("{partition}:{at}"))
            .collect();
        let places = if places.is_empty() {
            "none".to_owned()
        } else {
            places.join(" ")
        };
        lines.push(format!(
            "map      {}: {} entries, history {}, cursor {places}",
            map.map, map.confirmed, map.history,
        ));
        maps.push(json!({
            "map": map.map.as_str(),
            "entries": map.confirmed,
            "history": map.history.to_string(),
            "cursor": cursor,
        }));
    }
    let json = json!({
        "store": session.store,
        "pending": status.pending,
        "acked": status.decided,
        "maps": maps,
    });
    output.result(&lines.join("\n"), &json)?;
    Ok(Outcome::Done)
}
