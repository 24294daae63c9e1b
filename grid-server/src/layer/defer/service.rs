//! The service.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use grid_core::protocol::{Message, Push};
use grid_core::{Error, Result};
use tower::Service;

use super::deferral::Deferral;
use super::error::not_now;
use crate::layer::{PutOff, Request};
use crate::sessions::Session;

/// Hands on what was not put off, nor comes behind what was.
#[derive(Debug, Clone)]
pub(crate) struct Defer<S> {
    inner: S,
}

impl<S> Defer<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

/// Whether a push is to be handed on. If not, the client knows from where on to push again.
fn admits(session: &Session, push: &Push, put_off: Option<PutOff>) -> bool {
    if session.is_deferred(push) {
        session.ops_answered(push.ops.len());
        return false;
    }
    let Some(put_off) = put_off else {
        session.deferred().remove(&push.run);
        return true;
    };
    Deferral::of(push).tell(session, put_off);
    false
}

impl<S> Service<Request> for Defer<S>
where
    S: Service<Request, Response = (), Error = Error>,
{
    type Response = ();
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<()>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let put_off = request.put_off.take();
        let admitted = match (&request.message, put_off) {
            (Message::Push(push), put_off) => Ok(admits(&request.session, push, put_off)),
            (_, Some(put_off)) => Err(not_now(put_off)),
            (Message::Release(run), None) => {
                request.session.forget_run(*run);
                Ok(true)
            }
            (_, None) => Ok(true),
        };
        match admitted {
            Ok(true) => Either::Left(self.inner.call(request)),
            Ok(false) => Either::Right(ready(Ok(()))),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}
