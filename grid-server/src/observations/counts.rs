//! What is counted from the start of the server on.

use std::collections::BTreeMap;

use grid_core::ErrorKind;
use grid_core::protocol::{RejectReason, Verdict};

/// How many ops came to what: a verdict, and for those that took no effect the reason.
pub(crate) type OpCounts = BTreeMap<(&'static str, &'static str), u64>;

/// What is counted from the start of the server on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Ops by what became of them: the verdict (`accepted`, `superseded`, `rejected`, or `deferred`
    /// for those that have to be pushed again), and the reason of a rejection or the kind of error
    /// for which they are put off. An op that is pushed again counts again.
    pub ops: BTreeMap<(&'static str, &'static str), u64>,
    /// Records that the system of record took; those of dead letters are not among them.
    pub stored_records: u64,
    /// Batches that it took.
    pub stored_batches: u64,
    /// Batches that failed, and are tried again.
    pub failed_batches: u64,
    /// Versions that it refused for good, and that became dead letters.
    pub refused_versions: u64,
}

impl Counts {
    /// Adds ops that were answered.
    pub(crate) fn add_ops(&mut self, ops: &OpCounts) {
        for (what, count) in ops {
            *self.ops.entry(*what).or_default() += count;
        }
    }

    /// Adds ops that were put off for an error of this kind.
    pub(crate) fn add_deferred(&mut self, kind: ErrorKind, count: u64) {
        *self.ops.entry(("deferred", kind.name())).or_default() += count;
    }
}

/// Under what an op of this verdict is counted.
pub(crate) fn named(verdict: &Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Accepted | Verdict::Restamped(_) => ("accepted", ""),
        Verdict::Superseded(_) => ("superseded", ""),
        Verdict::Rejected { reason, .. } => ("rejected", reason_name(*reason)),
    }
}

fn reason_name(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Forbidden => "forbidden",
        RejectReason::Gone => "gone",
        RejectReason::VersionMismatch => "version mismatch",
        RejectReason::TooLarge => "too large",
        RejectReason::Malformed => "malformed",
        RejectReason::ForeignRun => "foreign run",
        _ => "unknown",
    }
}
