//! `grid import`.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{Either, select};
use hybrid_grid::{BatchHandle, Error, ErrorKind, Map, NotAcked, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::import::{self, Item};
use crate::output::Output;
use crate::session::Session;

/// How many records become durable on this device together.
const RECORDS_PER_BATCH: usize = 1000;
/// How many rejections are told one by one.
const TOLD_REJECTIONS: usize = 20;
/// How often the progress bar moves.
const BAR_INTERVAL: Duration = Duration::from_millis(100);

/// Puts every record of a file.
pub(crate) async fn import(
    session: &Session,
    output: Output,
    map: &str,
    file: &Path,
    key_field: Option<&str>,
) -> Result<Outcome> {
    let entries = session.map(map)?;
    let (batches, kept) = keep(&entries, file, key_field).await?;
    if session.is_offline() {
        output.result(
            &format!("{kept} kept on this device"),
            &json!({ "kept": kept }),
        )?;
        return Ok(Outcome::Done);
    }
    if !push(session, kept).await? {
        eprintln!("{kept} kept on this device: {}", session.why_pending());
        let pending = session.grid.status().pending;
        output.json_only(&json!({ "kept": kept, "pending": pending }))?;
        return Ok(Outcome::Pending);
    }
    report(output, batches).await
}

/// Makes all records durable on this device.
async fn keep(
    entries: &Map<Value>,
    file: &Path,
    key_field: Option<&str>,
) -> Result<(Vec<BatchHandle>, usize)> {
    let import = import::open(file, key_field)?;
    let figures = "{bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)";
    let bar = progress("reading", import.total_bytes, figures);
    let mut batches = Vec::new();
    let mut kept = 0;
    let mut items = import.items;
    loop {
        let batch = items
            .by_ref()
            .take(RECORDS_PER_BATCH)
            .collect::<Result<Vec<Item>>>();
        let batch = batch.map_err(|error| error.with("kept before it", kept))?;
        if batch.is_empty() {
            bar.finish_and_clear();
            return Ok((batches, kept));
        }
        let length = batch.len();
        let writes = batch.into_iter().map(|item| (item.key, item.value));
        let written = entries.put_all(writes).await;
        batches.push(written.map_err(|error| error.with("kept before it", kept))?);
        kept += length;
        bar.set_position(import.read_bytes.load(Ordering::Relaxed));
    }
}

/// Waits until the server has decided everything; false when the time is up before.
async fn push(session: &Session, kept: usize) -> Result<bool> {
    let total = u64::try_from(kept).unwrap_or(u64::MAX);
    let bar = progress("sending", total, "{pos}/{len} ({per_sec}, {eta} left)");
    let flushed = std::pin::pin!(session.flushed());
    let mut moves = bar_interval();
    let show = std::pin::pin!(async {
        loop {
            moves.tick().await;
            let pending = u64::try_from(session.grid.status().pending).unwrap_or(u64::MAX);
            bar.set_position(total.saturating_sub(pending));
        }
    });
    let done = match select(flushed, show).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => never,
    };
    bar.finish_and_clear();
    done
}

#[expect(
    clippy::disallowed_methods,
    reason = "a progress bar moves in real time"
)]
fn bar_interval() -> tokio::time::Interval {
    tokio::time::interval(BAR_INTERVAL)
}

fn progress(what: &'static str, length: u64, figures: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length), target).with_message(what);
    match ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {figures}")) {
        Ok(style) => bar.with_style(style),
        // The template is fixed; the plain style says less but is no reason to fail.
        Err(_) => bar,
    }
}

async fn report(output: Output, batches: Vec<BatchHandle>) -> Result<Outcome> {
    let (mut acked, mut superseded, mut rejected) = (0, 0, Vec::new());
    for batch in batches {
        let fate = batch.acked().await.map_err(|error: NotAcked| {
            Error::new(ErrorKind::Closed, "wait for the server", error.to_string())
        })?;
        acked += fate.acked;
        superseded += fate.superseded;
        rejected.extend(fate.rejected);
    }
    for one in rejected.iter().take(TOLD_REJECTIONS) {
        eprintln!("rejected: {one}");
    }
    if rejected.len() > TOLD_REJECTIONS {
        eprintln!("rejected: {} more", rejected.len() - TOLD_REJECTIONS);
    }
    let text = format!(
        "{acked} acked, {superseded} superseded, {} rejected",
        rejected.len()
    );
    let json = json!({ "acked": acked, "superseded": superseded, "rejected": rejected.len() });
    output.result(&text, &json)?;
    Ok(if rejected.is_empty() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}
