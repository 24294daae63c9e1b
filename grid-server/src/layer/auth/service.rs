//! The service.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, Ready, ready};
use futures::{FutureExt, select_biased};
use grid_core::protocol::Message;
use grid_core::traits::{Authenticator, Runtime};
use grid_core::{BoxFuture, Error, Result};
use tower::Service;

use super::error::{not_in_time, of_another_principal};
use super::token::{authenticate, check};
use crate::layer::Request;
use crate::sessions::Session;

/// Hands on what comes with a good token, and takes new tokens.
#[derive(Debug, Clone)]
pub(crate) struct Auth<S> {
    pub(super) inner: S,
    pub(super) authenticator: Arc<dyn Authenticator>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) timeout: Duration,
}

impl<S> Auth<S> {
    /// Takes a new token, which has to be of the same principal.
    fn renew(&self, session: Arc<Session>, token: String) -> BoxFuture<'static, Result<()>> {
        let (authenticator, runtime) = (self.authenticator.clone(), self.runtime.clone());
        let timeout = self.timeout;
        Box::pin(async move {
            let namespace = session.namespace();
            let renewed = authenticate(&*authenticator, &*runtime, Some(&token), namespace);
            // Meanwhile nothing is read from the connection, not even that it is gone.
            let renewed = select_biased! {
                renewed = Box::pin(renewed).fuse() => renewed?,
                () = runtime.sleep(timeout).fuse() => return Err(not_in_time(timeout)),
            };
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
