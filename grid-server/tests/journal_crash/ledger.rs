//! What the writers know: which batches must be there, and which may be.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::traits::{Epoch, Journal, JournalEntry, Position};
use grid_core::{ErrorKind, PartitionId};

/// A batch and the epoch of its writer.
pub(crate) type Batch = (u64, Bytes);

/// One partition, as its writer sees it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Line {
    /// Acknowledged, or found after a crash: position 1 and on.
    pub(crate) certain: Vec<Batch>,
    /// What may stand behind them: a prefix of one of these, or nothing.
    pub(crate) doubts: Vec<Vec<Batch>>,
    /// Up to where truncation was asked for.
    pub(crate) truncated: u64,
}

/// All partitions, and what happened.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) lines: BTreeMap<u16, Line>,
    pub(crate) violations: Vec<String>,
    pub(crate) acknowledged: u64,
    pub(crate) in_doubt: u64,
    pub(crate) refused: u64,
    /// Batches in doubt that were there after a crash.
    pub(crate) resurfaced: u64,
    /// Deaths of the process after which room that was taken ahead showed.
    pub(crate) left_room: u64,
}

impl Line {
    pub(crate) fn tail(&self) -> u64 {
        self.certain.len() as u64
    }

    /// Compares with what the journal holds after `truncated`; returns how many batches in doubt
    /// are there.
    fn compare(&self, truncated: u64, found: &[Batch]) -> Result<usize, String> {
        let from = usize::try_from(truncated).expect("a small number");
        let certain = self
            .certain
            .get(from..)
            .ok_or_else(|| format!("truncated at {truncated}, beyond the tail"))?;
        if !found.starts_with(certain) {
            let missing = certain
                .iter()
                .zip(found.iter().map(Some).chain(std::iter::repeat(None)))
                .position(|(expected, found)| Some(expected) != found);
            return Err(format!(
                "{} batches acknowledged, {} found; the first that is missing or wrong is {:?}",
                certain.len(),
                found.len(),
                missing.map(|place| place + from + 1),
            ));
        }
        let behind = &found[certain.len()..];
        let known = self.doubts.iter().any(|doubt| doubt.starts_with(behind));
        if behind.is_empty() || known {
            return Ok(behind.len());
        }
        Err(format!(
            "{} batches behind the last acknowledged one that nobody left in doubt",
            behind.len()
        ))
    }
}

/// Reads `partition` and compares it with `line`; then everything found is certain. Returns the
/// new line and how many batches had been in doubt.
pub(crate) async fn check(
    journal: &dyn Journal,
    partition: u16,
    line: &Line,
) -> Result<(Line, usize), String> {
    let id = PartitionId(partition);
    let describe = |what: String| format!("partition {partition}: {what}");
    let failed = |error: grid_core::Error| describe(error.to_string());
    let extent = journal.extent(id).await.map_err(failed)?;
    if extent.truncated.0 > line.truncated {
        return Err(describe(format!(
            "truncated at {}, asked for {}",
            extent.truncated.0, line.truncated
        )));
    }
    let mut entries: Vec<JournalEntry> = Vec::new();
    loop {
        let after = entries
            .last()
            .map_or(extent.truncated, |entry| entry.position);
        let part = journal.read(id, after, 2000).await.map_err(failed)?;
        if part.is_empty() {
            break;
        }
        entries.extend(part);
    }
    for (entry, position) in entries.iter().zip(extent.truncated.0 + 1..) {
        if entry.position != Position(position) {
            return Err(describe(format!("{:?} at {position}", entry.position)));
        }
    }
    let found: Vec<Batch> = entries
        .into_iter()
        .map(|entry| (entry.epoch.0, entry.batch))
        .collect();
    let resurfaced = line.compare(extent.truncated.0, &found).map_err(describe)?;
    let mut line = line.clone();
    let behind = found.len() - resurfaced;
    line.certain.extend_from_slice(&found[behind..]);
    line.doubts.clear();
    let epoch = line.certain.last().map_or(0, |(epoch, _)| *epoch);
    if (extent.tail, extent.epoch) != (Position(line.tail()), Epoch(epoch)) {
        return Err(describe(format!(
            "{extent:?}, but tail {} at epoch {epoch}",
            line.tail()
        )));
    }
    if let Some(below) = extent.truncated.0.checked_sub(1) {
        let read = journal.read(id, Position(below), 1).await;
        if read.err().map(|error| error.kind()) != Some(ErrorKind::NotFound) {
            return Err(describe("a truncated batch can be asked for".to_owned()));
        }
    }
    Ok((line, resurfaced))
}
