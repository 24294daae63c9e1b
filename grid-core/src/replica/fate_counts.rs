//! How many ops of a store the server decided, and how.

use crate::protocol::Verdict;

/// What became of an op, without the details of the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Acked,
    Superseded,
    Rejected,
}

impl From<&Verdict> for Fate {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Accepted | Verdict::Restamped(_) => Self::Acked,
            Verdict::Superseded(_) => Self::Superseded,
            Verdict::Rejected { .. } => Self::Rejected,
        }
    }
}

/// The settled ops of a store by their fate, since the store was made. An op counts once: in the
/// atomic batch that takes it out of the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FateCounts {
    /// Ops that took effect.
    pub acked: u64,
    /// Ops that lost against a later version.
    pub superseded: u64,
    /// Ops that the server refused.
    pub rejected: u64,
}

impl FateCounts {
    pub(super) fn add(&mut self, fate: Fate) {
        let count = match fate {
            Fate::Acked => &mut self.acked,
            Fate::Superseded => &mut self.superseded,
            Fate::Rejected => &mut self.rejected,
        };
        *count = count.saturating_add(1);
    }
}
