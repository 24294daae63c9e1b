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

/// How long a request that asks for data waits for room. Its connection says nothing meanwhile, so
/// it is less than the time after which the client takes that for its end.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Hands on what its client may send.
#[derive(Debug, Clone)]
pub(crate) struct RateLimit<S> {
    inner: S,
    limits: Arc<Limits>,
    runtime: Arc<dyn Runtime>,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, limits: Arc<Limits>, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            inner,
            limits,
            runtime,
        }
    }
}

/// The ops that a message counts for.
fn cost(request: &Request) -> u32 {
    match &request.message {
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
    mut exceeded: Exceeded,
) -> Result<()> {
    let last = runtime.monotonic() + LONGEST_WAIT;
    loop {
        match exceeded {
            Exceeded::For(wait) if runtime.monotonic() + wait <= last => {
                runtime.sleep(wait).await;
            }
            exceeded => return Err(exceeded.into_error()),
        }
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
            Err(Exceeded::For(wait)) if request.is_push() => {
                request.put_off(&Exceeded::For(wait).message(), wait);
                Either::Left(self.inner.call(request))
            }
            Err(exceeded) => {
                let fresh = self.inner.clone();
                // The one that is ready is the one to be called.
                let mut inner = std::mem::replace(&mut self.inner, fresh);
                let (limits, runtime) = (self.limits.clone(), self.runtime.clone());
                Either::Right(Box::pin(async move {
                    room(limits, runtime, &request, exceeded).await?;
                    inner.call(request).await
                }))
            }
        }
    }
}
