//! `grid import`.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{Either, select};
use hybrid_grid::{BatchHandle, Error, ErrorKind, Map, NotAcked};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::exit::{Outcome, Result};
use crate::import::Import;
use crate::output::Output;
use crate::session::Session;

/// How many records become durable on this device together.
const RECORDS_PER_BATCH: usize = 1000;
/// At how many bytes of the file fewer do, so that large values take no more memory.
const BYTES_PER_BATCH: u64 = 8 * 1024 * 1024;
/// How often the progress bar moves.
const BAR_INTERVAL: Duration = Duration::from_millis(100);

/// Puts every record of a file.
pub(crate) async fn import(
    session: &Session,
    output: Output,
    map: &str,
    records: Import,
) -> Result<Outcome> {
    let entries = session.map(map)?;
    let (batches, kept) = keep(&entries, records).await?;
    if session.is_offline() {
        output.result(
            &format!("{kept} kept on this device"),
            &json!({ "kept": kept }),
        )?;
        return Ok(Outcome::Done);
    }
    let pushed = push(session, kept).await;
    if let Ok(true) = pushed {
        return report(output, batches).await;
    }
    let pending = session.grid.status().pending;
    output.json_only(&json!({ "kept": kept, "pending": pending }))?;
    match pushed {
        Ok(_) => {
            eprintln!("{kept} kept on this device: {}", session.why_pending());
            Ok(Outcome::Pending)
        }
        Err(stop) => {
            session.tell_pending(&format!("{kept} kept on this device"));
            Err(stop)
        }
    }
}

/// Makes all records durable on this device, or those before the first that cannot be.
async fn keep(entries: &Map<Value>, mut file: Import) -> Result<(Vec<BatchHandle>, usize)> {
    let figures = "{bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)";
    let bar = Bar::new("reading", file.total_bytes, figures);
    let mut batches = Vec::new();
    let mut kept = 0;
    loop {
        let (batch, fault) = next_batch(entries, &mut file);
        let length = batch.len();
        if length > 0 {
            let written = entries.put_all(batch).await;
            batches.push(written.map_err(|error| error.with("kept before", kept))?);
            kept += length;
        }
        if let Some(fault) = fault {
            drop(bar);
            eprintln!(
                "records before this one that are kept on this device: {kept}; correct {} and \
                 import it again",
                file.name
            );
            return Err(fault.into());
        }
        if length == 0 {
            return Ok((batches, kept));
        }
        bar.0.set_position(file.read_bytes.load(Ordering::Relaxed));
    }
}

/// The records that become durable together next, and what is wrong with the one after them.
fn next_batch(entries: &Map<Value>, file: &mut Import) -> (Vec<(String, Value)>, Option<Error>) {
    let mut batch = Vec::new();
    let read = |file: &Import| file.read_bytes.load(Ordering::Relaxed);
    let begin = read(file);
    while batch.len() < RECORDS_PER_BATCH && read(file) - begin < BYTES_PER_BATCH {
        let Some(record) = file.records.next() else {
            break;
        };
        let checked = record.and_then(|record| {
            let checked = entries.check(&record.key, &record.value);
            checked.map_err(|error| error.with("line", record.line).with("file", &file.name))?;
            Ok((record.key, record.value))
        });
        match checked {
            Ok(write) => batch.push(write),
            Err(fault) => return (batch, Some(fault)),
        }
    }
    (batch, None)
}

/// Waits until the server has decided everything; false when the time is up before.
async fn push(session: &Session, kept: usize) -> Result<bool> {
    let total = u64::try_from(kept).unwrap_or(u64::MAX);
    let bar = Bar::new("sending", total, "{pos}/{len} ({per_sec}, {eta} left)");
    let flushed = std::pin::pin!(session.flushed());
    let mut moves = bar_interval();
    let show = std::pin::pin!(async {
        loop {
            moves.tick().await;
            let pending = u64::try_from(session.grid.status().pending).unwrap_or(u64::MAX);
            bar.0.set_position(total.saturating_sub(pending));
        }
    });
    match select(flushed, show).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => never,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a progress bar moves in real time"
)]
fn bar_interval() -> tokio::time::Interval {
    tokio::time::interval(BAR_INTERVAL)
}

/// A progress bar that leaves nothing behind, on a terminal only.
struct Bar(ProgressBar);

impl Bar {
    fn new(what: &'static str, length: u64, figures: &str) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(length), target).with_message(what);
        match ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {figures}")) {
            Ok(style) => Self(bar.with_style(style)),
            // The template is fixed; the plain style says less but is no reason to fail.
            Err(_) => Self(bar),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn report(output: Output, batches: Vec<BatchHandle>) -> Result<Outcome> {
    let (mut acked, mut superseded, mut rejected) = (0, 0, 0);
    for batch in batches {
        let fate = batch.acked().await.map_err(|error: NotAcked| {
            Error::new(ErrorKind::Closed, "wait for the server", error.to_string())
        })?;
        acked += fate.acked;
        superseded += fate.superseded;
        rejected += fate.rejected.len();
    }
    let text = format!("{acked} acked, {superseded} superseded, {rejected} rejected");
    let json = json!({ "acked": acked, "superseded": superseded, "rejected": rejected });
    output.result(&text, &json)?;
    Ok(match rejected {
        0 => Outcome::Done,
        _ => Outcome::Rejected,
    })
}
