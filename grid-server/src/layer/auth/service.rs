//! The service.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use grid_core::protocol::Message;
use grid_core::traits::{Authenticator, Runtime};
use grid_core::{BoxFuture, Error, Result};
use tower::Service;

use super::error::of_another_principal;
use super::token::{authenticate, check};
use crate::layer::Request;
use crate::sessions::Session;

/// Hands on what comes with a good token, and takes new tokens.
#[derive(Debug, Clone)]
pub(crate) struct Auth<S> {
    inner: S,
    authenticator: Arc<dyn Authenticator>,
    runtime: Arc<dyn Runtime>,
}

impl<S> Auth<S> {
    pub(super) fn new(
        inner: S,
        authenticator: Arc<dyn Authenticator>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self {
            inner,
            authenticator,
            runtime,
        }
    }

    /// Takes a new token, which has to be of the same principal.
    fn renew(&self, session: Arc<Session>, token: String) -> BoxFuture<'static, Result<()>> {
        let (authenticator, runtime) = (self.authenticator.clone(), self.runtime.clone());
        Box::pin(async move {
            let namespace = session.namespace();
            let renewed = authenticate(&*authenticator, &*runtime, Some(&token), namespace).await?;
            if renewed.principal != *session.principal() {
                return Err(of_another_principal());
            }
            session.renewed_until(renewed.expires_at_ms);
            Ok(())
        })
    }
}

impl<S> Service<Request> for Auth<S>
where
    S: Service<Request, Response = (), Error = Error>,
{
    type Response = ();
    type Error = Error;
    type Future = Either<S::Future, Either<BoxFuture<'static, Result<()>>, Ready<Result<()>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Message::Renew { token } = request.message {
            return Either::Right(Either::Left(self.renew(request.session, token)));
        }
        match check(&request.session, &*self.runtime) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => Either::Right(Either::Right(ready(Err(error)))),
        }
    }
}
