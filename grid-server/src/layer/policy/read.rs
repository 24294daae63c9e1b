//! Policy on reads: a layer of the gateway.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use grid_core::protocol::{Message, RejectReason, SubscribeRefused};
use grid_core::traits::{Decision, Policy};
use grid_core::{Error, Result};
use tower::{Layer, Service};

use crate::layer::Request;

/// Refuses reads that the policy denies.
#[derive(Debug, Clone)]
pub(crate) struct ReadPolicyLayer {
    policy: Arc<dyn Policy>,
}

impl ReadPolicyLayer {
    pub(crate) fn new(policy: Arc<dyn Policy>) -> Self {
        Self { policy }
    }
}

impl<S> Layer<S> for ReadPolicyLayer {
    type Service = ReadPolicy<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReadPolicy {
            inner,
            policy: self.policy.clone(),
        }
    }
}

/// Answers denied reads itself.
#[derive(Debug, Clone)]
pub(crate) struct ReadPolicy<S> {
    inner: S,
    policy: Arc<dyn Policy>,
}

impl<S> ReadPolicy<S> {
    fn refusal(&self, request: &Request) -> Option<SubscribeRefused> {
        let (number, map) = match &request.message {
            Message::Subscribe(subscribe) => (subscribe.request, &subscribe.map),
            Message::Read(read) => (read.request, &read.map),
            _ => return None,
        };
        match self.policy.may_read(request.session.principal(), map) {
            Decision::Allow => None,
            Decision::Deny(message) => Some(SubscribeRefused {
                request: number,
                reason: RejectReason::Forbidden,
                message,
            }),
        }
    }
}

impl<S> Service<Request> for ReadPolicy<S>
where
    S: Service<Request, Response = (), Error = Error>,
{
    type Response = ();
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<()>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.refusal(&request) {
            None => Either::Left(self.inner.call(request)),
            Some(refusal) => {
                request.session.answer(&Message::SubscribeRefused(refusal));
                Either::Right(ready(Ok(())))
            }
        }
    }
}
