//! The dedup table: what was decided of each run's ops, so that an op pushed again is not applied
//! again and gets the same verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::hlc::Hlc;
use crate::op::RunId;
use crate::protocol::Verdict;

/// Most exceptions that a run may leave unconfirmed in one partition. Beyond it the server takes
/// no more of the run's ops until the client says what it has stored.
pub const MAX_EXCEPTIONS_PER_RUN: usize = 64 * 1024;

/// What is remembered of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The principal that pushed it first.
    pub(super) principal: Arc<str>,
    /// The highest op number decided here. The ops of a run arrive in the order of their numbers,
    /// so everything at or below it was decided.
    pub(super) watermark: u64,
    /// The final time of the last op that took effect or was weighed.
    pub(super) last_hlc: Hlc,
    /// Verdicts other than "accepted", until the client has stored them.
    pub(super) exceptions: BTreeMap<u64, Verdict>,
    /// When the client released the run, in milliseconds since 1970.
    pub(super) released_at_ms: Option<u64>,
}

/// What a batch adds to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunUpdate {
    pub(super) run: RunId,
    pub(super) principal: Arc<str>,
    pub(super) watermark: u64,
    pub(super) last_hlc: Hlc,
    pub(super) exceptions: Vec<(u64, Verdict)>,
}

/// All runs that a partition remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Runs {
    runs: BTreeMap<RunId, Run>,
    /// Those with as many exceptions as there may be.
    full: BTreeSet<RunId>,
}

impl Runs {
    pub(super) fn get(&self, run: RunId) -> Option<&Run> {
        self.runs.get(&run)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&RunId, &Run)> {
        self.runs.iter()
    }

    /// Whether a run has as many exceptions as there may be.
    pub(super) fn is_full(&self, run: RunId) -> bool {
        self.full.contains(&run)
    }

    pub(super) fn restore(&mut self, id: RunId, run: Run) {
        if run.exceptions.len() >= MAX_EXCEPTIONS_PER_RUN {
            self.full.insert(id);
        }
        self.runs.insert(id, run);
    }

    pub(super) fn update(&mut self, update: &RunUpdate) {
        let run = self.runs.entry(update.run).or_insert_with(|| Run {
            principal: update.principal.clone(),
            watermark: 0,
            last_hlc: Hlc::ZERO,
            exceptions: BTreeMap::new(),
            released_at_ms: None,
        });
        run.watermark = update.watermark;
        run.last_hlc = update.last_hlc;
        run.exceptions.extend(update.exceptions.iter().cloned());
        // A run that still pushes is not finished, whatever its client said before.
        run.released_at_ms = None;
        if run.exceptions.len() >= MAX_EXCEPTIONS_PER_RUN {
            self.full.insert(update.run);
        }
    }

    /// Forgets the exceptions of `run` up to `through`.
    pub(super) fn stored(&mut self, id: RunId, through: u64) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.exceptions = match through.checked_add(1) {
                Some(next) => run.exceptions.split_off(&next),
                None => BTreeMap::new(),
            };
            if run.exceptions.len() < MAX_EXCEPTIONS_PER_RUN {
                self.full.remove(&id);
            }
        }
    }

    pub(super) fn release(&mut self, run: RunId, at_ms: u64) {
        if let Some(run) = self.runs.get_mut(&run) {
            run.released_at_ms.get_or_insert(at_ms);
        }
    }

    pub(super) fn forget(&mut self, run: RunId) {
        self.runs.remove(&run);
        self.full.remove(&run);
    }

    /// Runs released at or before `at_ms`.
    pub(super) fn released_before(&self, at_ms: u64) -> impl Iterator<Item = RunId> {
        self.runs
            .iter()
            .filter(move |(_, run)| run.released_at_ms.is_some_and(|released| released <= at_ms))
            .map(|(id, _)| *id)
    }
}
