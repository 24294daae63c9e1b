//! The service.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::Either;
use grid_core::maybe_send::MaybeSend;
use grid_core::protocol::Message;
use grid_core::traits::Runtime;
use grid_core::{BoxFuture, Error, Result};
use tower::Service;

use super::error::Exceeded;
use super::limits::Limits;
use crate::layer::Request;

/// By how much more a client is told to wait, at most, in microseconds.
const LONGEST_JITTER_US: u64 = 50_000;

/// Hands on what its client may send.
#[derive(Debug, Clone)]
pub(crate) struct RateLimit<S> {
    pub(super) inner: S,
    pub(super) limits: Arc<Limits>,
    pub(super) runtime: Arc<dyn Runtime>,
    /// How long a request that asks for data waits for room.
    pub(super) longest_wait: Duration,
}

impl<S> RateLimit<S> {
    /// Those who are told to wait for the same room do not come back at the same moment, of whom
    /// the same one would be first each time.
    fn jitter(&self) -> Duration {
        Duration::from_micros(self.runtime.random() % LONGEST_JITTER_US)
    }
}

/// The ops that a message counts for.
fn cost(request: &Request) -> u32 {
    match &request.message {
        // Of what is not taken in any case, nothing is counted.
        _ if request.put_off.is_some() => 0,
        Message::Push(push) if request.session.is_deferred(push) => 0,
        Message::Push(push) => u32::try_from(push.ops.len()).unwrap_or(u32::MAX),
        _ if request.frees() => 0,
        _ => 1,
    }
}

/// Waits until there is room for a request.
///
/// # Errors
/// `Overloaded` when there is none in time.
async fn room(
    limits: Arc<Limits>,
    runtime: Arc<dyn Runtime>,
    request: &Request,
    (mut exceeded, longest_wait): (Exceeded, Duration),
) -> Result<()> {
    let last = runtime.monotonic() + longest_wait;
    loop {
        if runtime.monotonic() + exceeded.0 > last {
            return Err(exceeded.into_error());
        }
        runtime.sleep(exceeded.0).await;
        match limits.take(&request.session, cost(request)) {
            Ok(()) => return Ok(()),
            Err(again) => exceeded = again,
        }
    }
}

impl<S> Service<Request> for RateLimit<S>
where
    S: Service<Request, Response = (), Error = Error> + Clone + MaybeSend + 'static,
    S::Future: MaybeSend + 'static,
{
    type Response = ();
    type Error = Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<()>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.limits.take(&request.session, cost(&request)) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(exceeded) if request.is_push() => {
                request.put_off(&exceeded.message(), exceeded.0 + self.jitter());
                Either::Left(self.inner.call(request))
            }
            Err(exceeded) => {
                let fresh = self.inner.clone();
                // The one that is ready is the one to be called.
                let mut inner = std::mem::replace(&mut self.inner, fresh);
                let (limits, runtime) = (self.limits.clone(), self.runtime.clone());
                let wait = (exceeded, self.longest_wait);
                Either::Right(Box::pin(async move {
                    room(limits, runtime, &request, wait).await?;
                    inner.call(request).await
                }))
            }
        }
    }
}
