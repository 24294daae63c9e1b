//! The second stage of a write: what the server said.

use grid_core::OpId;
use tokio::sync::oneshot;

use crate::fate::{Fate, NotAcked, Rejected};
use crate::tickets::Outcome;

/// A write that is durable on this device. Drop it if the server's answer does not matter here:
/// the write goes out all the same.
#[derive(Debug)]
pub struct WriteHandle {
    pub(crate) op: OpId,
    pub(crate) outcome: oneshot::Receiver<Outcome>,
}

impl WriteHandle {
    /// The identity of the write.
    #[must_use]
    pub fn op(&self) -> OpId {
        self.op
    }

    /// Waits until the server has decided, for as long as that takes.
    ///
    /// # Errors
    /// [`NotAcked::Rejected`] when the server refused the write, which is then undone here;
    /// [`NotAcked::Closed`] when the grid was closed first.
    pub async fn acked(self) -> Result<Fate, NotAcked> {
        let outcome = self.outcome.await.map_err(|_| NotAcked::Closed)?;
        if let Some(rejected) = outcome.rejected.into_iter().next() {
            return Err(NotAcked::Rejected(rejected));
        }
        let superseded = outcome.superseded.first();
        Ok(superseded.map_or(Fate::Acked, |(_, fate)| *fate))
    }
}

/// Several writes of one call that are durable on this device.
#[derive(Debug)]
pub struct BatchHandle {
    pub(crate) ops: Vec<OpId>,
    pub(crate) outcome: oneshot::Receiver<Outcome>,
}

/// What the server made of several writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFate {
    /// How many took effect.
    pub acked: usize,
    /// How many lost against a later version.
    pub superseded: usize,
    /// Those that the server refused.
    pub rejected: Vec<Rejected>,
}

impl BatchHandle {
    /// The identities of the writes, in their order.
    #[must_use]
    pub fn ops(&self) -> &[OpId] {
        &self.ops
    }

    /// Waits until the server has decided all of them.
    ///
    /// # Errors
    /// [`NotAcked::Closed`] when the grid was closed first. Rejections are part of the result.
    pub async fn acked(self) -> Result<BatchFate, NotAcked> {
        let outcome = self.outcome.await.map_err(|_| NotAcked::Closed)?;
        Ok(BatchFate {
            acked: outcome.acked,
            superseded: outcome.superseded.len(),
            rejected: outcome.rejected,
        })
    }
}
