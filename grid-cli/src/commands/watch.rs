//! `grid watch`.

use std::time::Duration;

use futures::future::{Either, select};
use hybrid_grid::Event;

use crate::exit::{Outcome, Result, Stop};
use crate::output::Output;
use crate::session::{Session, within};

/// Prints all entries and then every change, until interrupted or for `timeout` seconds.
pub(crate) async fn watch(
    session: &Session,
    output: Output,
    map: &str,
    timeout: Option<f64>,
) -> Result<Outcome> {
    let follow = std::pin::pin!(follow(session, output, map));
    let connection = std::pin::pin!(session.tell_connection());
    let work = async {
        match select(follow, connection).await {
            Either::Left((ended, _)) => ended,
            Either::Right((refused, _)) => Err(refused),
        }
    };
    match timeout {
        // That the time is up is the end that was asked for.
        Some(seconds) => within(Duration::from_secs_f64(seconds), work)
            .await
            .unwrap_or(Ok(())),
        None => work.await,
    }?;
    Ok(Outcome::Done)
}

/// To be interrupted is the usual end of watching.
pub(crate) fn ended(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Interrupted => Outcome::Done,
        other => other,
    }
}

async fn follow(session: &Session, output: Output, map: &str) -> Result<()> {
    let entries = session.map(map)?;
    let mut events = entries.subscribe();
    while let Some(event) = events.next().await {
        match event.map_err(Stop::from)? {
            Event::Snapshot {
                entries, loaded, ..
            } => {
                if !loaded {
                    eprintln!("loading {map} …");
                }
                for (key, value) in &entries {
                    output.entry(key.as_str(), Some(value))?;
                }
            }
            Event::Changed { key, value } => output.entry(key.as_str(), value.as_ref())?,
            Event::Synced => eprintln!("level with the server"),
            Event::Unsynced => eprintln!("not level with the server any more"),
            // What later versions of the client tell has no line of its own yet.
            _ => {}
        }
    }
    Ok(())
}
