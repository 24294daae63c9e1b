//! `grid status`.

use hybrid_grid::{MapStatus, Status};
use serde_json::{Value, json};

use crate::exit::{Outcome, Result};
use crate::output::Output;
use crate::session::Session;

/// Prints what the device holds, what is pending and what became of the rest, without asking the
/// server.
pub(crate) fn status(session: &Session, output: Output) -> Result<Outcome> {
    let status = session.grid.status();
    output.result(
        &text(&session.store, &status),
        &json(&session.store, &status),
    )?;
    Ok(Outcome::Done)
}

fn text(store: &str, status: &Status) -> String {
    let mut lines = vec![
        format!("store       {store}"),
        format!("pending     {}", status.pending),
        format!("acked       {}", status.fates.acked),
        format!("superseded  {}", status.fates.superseded),
        format!("rejected    {}", status.fates.rejected),
    ];
    for map in &status.maps {
        let (entries, pending) = (map.entries, map.pending);
        let place = if map.cursor.is_empty() {
            "never caught up".to_owned()
        } else {
            let places: Vec<String> = map
                .cursor
                .iter()
                .map(|(partition, at)| format!("{partition}:{at}"))
                .collect();
            format!("history {}, cursor {}", map.history, places.join(" "))
        };
        lines.push(format!(
            "map         {}: {entries} entries, {pending} pending, {place}",
            map.map
        ));
    }
    lines.join("\n")
}

fn json(store: &str, status: &Status) -> Value {
    let map = |map: &MapStatus| {
        let cursor: Vec<Value> = map
            .cursor
            .iter()
            .map(|(partition, at)| json!([partition.0, at.0]))
            .collect();
        json!({
            "map": map.map.as_str(),
            "entries": map.entries,
            "pending": map.pending,
            "history": map.history.to_string(),
            "cursor": cursor,
        })
    };
    json!({
        "store": store,
        "pending": status.pending,
        "acked": status.fates.acked,
        "superseded": status.fates.superseded,
        "rejected": status.fates.rejected,
        "maps": status.maps.iter().map(map).collect::<Vec<_>>(),
    })
}
