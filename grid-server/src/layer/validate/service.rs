//! The service.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use grid_core::protocol::Message;
use grid_core::{Error, Result};
use tower::Service;

use super::error::broken;
use super::limits::Limits;
use super::push::check_push;
use super::view::{check_read, check_repair, check_stored, check_subscribe};
use crate::layer::Request;

/// Hands on what is within bounds.
#[derive(Debug, Clone)]
pub(crate) struct Validate<S> {
    inner: S,
    limits: Limits,
}

impl<S> Validate<S> {
    pub(super) fn new(inner: S, limits: Limits) -> Self {
        Self { inner, limits }
    }

    fn check(&self, request: &mut Request) -> Result<()> {
        let (limits, session) = (&self.limits, &*request.session);
        match &request.message {
            Message::Push(push) => {
                for (place, veto) in check_push(limits, session, push)? {
                    request.vetoes.entry(place).or_insert(veto);
                }
                Ok(())
            }
            Message::Stored(stored) => check_stored(limits, stored),
            Message::Subscribe(subscribe) => check_subscribe(limits, session, subscribe),
            Message::Repair(repair) => check_repair(limits, session, repair),
            Message::Read(read) => check_read(read),
            Message::Release(_) | Message::Unsubscribe(_) => Ok(()),
            _ => Err(broken("a message that only a server sends, or out of turn")),
        }
    }
}

impl<S> Service<Request> for Validate<S>
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
        match self.check(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}
