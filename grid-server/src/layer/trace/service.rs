//! The service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use grid_core::protocol::Message;
use grid_core::{BoxFuture, Error, Result};
use tower::Service;
use tracing::Instrument;

use crate::layer::Request;

/// Traces what passes to the inner service.
#[derive(Debug, Clone)]
pub(crate) struct Trace<S> {
    inner: S,
}

impl<S> Trace<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

/// The message's name and how many items it carries.
fn describe(message: &Message) -> (&'static str, usize) {
    match message {
        Message::Push(push) => ("push", push.ops.len()),
        Message::Stored(stored) => ("stored", stored.len()),
        Message::Release(_) => ("release", 1),
        Message::Subscribe(subscribe) => ("subscribe", subscribe.cursor.len()),
        Message::Unsubscribe(_) => ("unsubscribe", 1),
        Message::Repair(_) => ("repair", 1),
        Message::Read(_) => ("read", 1),
        _ => ("other", 1),
    }
}

impl<S> Service<Request> for Trace<S>
where
    S: Service<Request, Response = (), Error = Error>,
    S::Future: Future<Output = Result<()>> + Send + 'static,
{
    type Response = ();
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> BoxFuture<'static, Result<()>> {
        let (kind, items) = describe(&request.message);
        let session = request.session.id();
        let span = tracing::debug_span!("request", session, kind, items);
        let served = self.inner.call(request);
        let traced = async move {
            let outcome = served.await;
            match &outcome {
                Ok(()) => tracing::trace!("handed on"),
                Err(error) => tracing::debug!(%error, "refused"),
            }
            outcome
        };
        Box::pin(traced.instrument(span))
    }
}
