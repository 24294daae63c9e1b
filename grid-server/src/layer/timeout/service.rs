//! The service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use grid_core::traits::Runtime;
use grid_core::{BoxFuture, Error, Result};
use tower::Service;

use super::error::too_late;
use crate::layer::Request;

/// Hands on, and does not wait for ever.
#[derive(Debug, Clone)]
pub(crate) struct Timeout<S> {
    inner: S,
    runtime: Arc<dyn Runtime>,
    after: Duration,
}

impl<S> Timeout<S> {
    pub(super) fn new(inner: S, runtime: Arc<dyn Runtime>, after: Duration) -> Self {
        Self {
            inner,
            runtime,
            after,
        }
    }
}

impl<S> Service<Request> for Timeout<S>
where
    S: Service<Request, Response = (), Error = Error>,
{
    type Response = ();
    type Error = Error;
    type Future = InTime<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        InTime {
            served: Box::pin(self.inner.call(request)),
            timer: None,
            runtime: self.runtime.clone(),
            after: self.after,
        }
    }
}

/// What a request comes to, in time.
pub(crate) struct InTime<F> {
    served: Pin<Box<F>>,
    /// Set once it is known that there is something to wait for, which for most there is not.
    timer: Option<BoxFuture<'static, ()>>,
    runtime: Arc<dyn Runtime>,
    after: Duration,
}

impl<F: Future<Output = Result<()>>> Future for InTime<F> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(outcome) = this.served.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        let timer = this
            .timer
            .get_or_insert_with(|| this.runtime.sleep(this.after));
        timer.as_mut().poll(cx).map(|()| Err(too_late(this.after)))
    }
}
