//! What a partition is asked to decide.

use std::sync::Arc;

use crate::address::MapAddress;
use crate::limits::{DEFAULT_ALLOWED_DRIFT_MS, DEFAULT_RETENTION_MS};
use crate::op::{Op, RunId};
use crate::protocol::{RejectReason, Verdict};
use crate::record::Sequence;
use crate::traits::Resolver;

/// Whose clock an op was stamped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// A client's, whose wall clock ran ahead of the server's by `offset_ms` at the handshake.
    Client {
        /// Client's now minus server's now, in milliseconds.
        offset_ms: i64,
    },
    /// The server's own: the partition stamps the op after everything that it holds. If the op
    /// names the version that it replaces, it does so whatever the map's merge rule says.
    Server,
}

/// A refusal that was made before the partition saw the op. It is an input of the decision, so
/// that the op gets its verdict in its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veto {
    /// Why, for code.
    pub reason: RejectReason,
    /// Why, for people.
    pub message: String,
}

/// One op, and what has to be known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The name of the principal who pushes it.
    pub principal: Arc<str>,
    /// Whose clock stamped it.
    pub timing: Timing,
    /// The map, with its namespace.
    pub address: MapAddress,
    /// The op.
    pub op: Op,
    /// A refusal made before, if any.
    pub veto: Option<Veto>,
}

/// A client has stored the verdicts of its run's ops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The run.
    pub run: RunId,
    /// The name of the principal who says so; only the run's own counts.
    pub principal: Arc<str>,
    /// The highest op number whose verdict is stored, with all below it.
    pub through: u64,
}

/// A client's run will push nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    /// The run.
    pub run: RunId,
    /// The name of the principal who says so; only the run's own counts.
    pub principal: Arc<str>,
}

/// What a partition decides in one step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProposalBatch {
    /// Ops, in the order in which they take effect.
    pub proposals: Vec<Proposal>,
    /// Verdicts that clients have stored; these exceptions are forgotten.
    pub stored: Vec<Confirmation>,
    /// Runs that are finished.
    pub released: Vec<Farewell>,
}

impl ProposalBatch {
    /// Whether there is nothing to decide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.proposals.is_empty() && self.stored.is_empty() && self.released.is_empty()
    }
}

/// What became of one op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The sequence of the key's version now: a view that is there shows what became of the op.
    pub sequence: Sequence,
}

/// The rules by which a partition decides.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How far a client's stamp may lie ahead of now, in milliseconds.
    pub allowed_drift_ms: u64,
    /// How long tombstones and released runs are kept, in milliseconds.
    pub retention_ms: u64,
    /// How two versions of a key are merged; without one the last writer wins.
    pub resolver: Option<Arc<dyn Resolver>>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            allowed_drift_ms: DEFAULT_ALLOWED_DRIFT_MS,
            retention_ms: DEFAULT_RETENTION_MS,
            resolver: None,
        }
    }
}
