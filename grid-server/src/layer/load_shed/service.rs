//! The service.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, Ready, ready};
use grid_core::maybe_send::MaybeSend;
use grid_core::{BoxFuture, Error, Result};
use tower::Service;

use super::error::{BUSY, busy};
use super::layer::Load;
use crate::layer::Request;

/// Hands on what there is room for.
#[derive(Debug, Clone)]
pub(crate) struct LoadShed<S> {
    inner: S,
    load: Load,
    retry_after: Duration,
}

impl<S> LoadShed<S> {
    pub(super) fn new(inner: S, load: Load, retry_after: Duration) -> Self {
        Self {
            inner,
            load,
            retry_after,
        }
    }
}

/// The answer to what was handed on, or to what was shed.
type Answer<F> = Either<F, Either<BoxFuture<'static, Result<()>>, Ready<Result<()>>>>;

impl<S> Service<Request> for LoadShed<S>
where
    S: Service<Request, Response = (), Error = Error>,
    S::Future: MaybeSend + 'static,
{
    type Response = ();
    type Error = Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if request.frees() {
            return Either::Left(self.inner.call(request));
        }
        let Some(taken) = self.load.take(request.bytes()) else {
            if !request.is_push() {
                return Either::Right(Either::Right(ready(Err(busy()))));
            }
            // It costs nothing more: it is told so in its turn.
            request.put_off(BUSY, self.retry_after);
            return Either::Left(self.inner.call(request));
        };
        let served = self.inner.call(request);
        Either::Right(Either::Left(Box::pin(async move {
            let outcome = served.await;
            drop(taken);
            outcome
        })))
    }
}
