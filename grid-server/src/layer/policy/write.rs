//! Policy on writes: a layer of the partition's side.

use std::sync::Arc;
use std::task::{Context, Poll};

use grid_core::partition::Veto;
use grid_core::protocol::RejectReason;
use grid_core::traits::{Decision, Policy};
use tower::{Layer, Service};

use crate::partition_service::{Work, WorkBatch};

/// Vetoes ops that the policy denies.
#[derive(Debug, Clone)]
pub(crate) struct WritePolicyLayer {
    policy: Arc<dyn Policy>,
}

impl WritePolicyLayer {
    pub(crate) fn new(policy: Arc<dyn Policy>) -> Self {
        Self { policy }
    }
}

impl<S> Layer<S> for WritePolicyLayer {
    type Service = WritePolicy<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WritePolicy {
            inner,
            policy: self.policy.clone(),
        }
    }
}

/// Hands every op on, denied ones with a veto.
#[derive(Debug, Clone)]
pub(crate) struct WritePolicy<S> {
    inner: S,
    policy: Arc<dyn Policy>,
}

impl<S: Service<WorkBatch>> Service<WorkBatch> for WritePolicy<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut batch: WorkBatch) -> Self::Future {
        for part in &mut batch.parts {
            let Work::Decide {
                batch: ops,
                authors,
            } = &mut part.work
            else {
                continue;
            };
            for (proposal, author) in ops.proposals.iter_mut().zip(authors) {
                // The server's own writes need nobody's leave.
                let Some(principal) = author else { continue };
                if proposal.veto.is_some() {
                    continue;
                }
                if let Decision::Deny(message) = self.policy.may_write(principal, &proposal.op) {
                    proposal.veto = Some(Veto {
                        reason: RejectReason::Forbidden,
                        message,
                    });
                }
            }
        }
        self.inner.call(batch)
    }
}
