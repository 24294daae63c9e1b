//! The tokens of connections: what they grant, and for how long.

use std::time::Duration;

use grid_core::traits::{Authenticated, Authenticator, Runtime};
use grid_core::{Error, Namespace, Result};

use super::error::expired;
use crate::sessions::Session;

/// Who the holder of `token` is, and until when.
///
/// # Errors
/// As the authenticator's; `Unauthorized` when the token has expired on this server's clock.
pub(crate) async fn authenticate(
    authenticator: &dyn Authenticator,
    runtime: &dyn Runtime,
    token: Option<&str>,
    namespace: &Namespace,
) -> Result<Authenticated> {
    let authenticated = authenticator.authenticate(token, namespace).await?;
    let now_ms = runtime.now_ms();
    if authenticated.expires_at_ms.is_some_and(|at| at <= now_ms) {
        return Err(expired());
    }
    Ok(authenticated)
}

/// Whether the connection may go on.
///
/// # Errors
/// `Unauthorized` when its token has expired.
pub(super) fn check(session: &Session, runtime: &dyn Runtime) -> Result<()> {
    match session.expires_at_ms() {
        Some(at) if at <= runtime.now_ms() => Err(expired()),
        _ => Ok(()),
    }
}

/// Completes once the token of a connection has expired. Both the wall clock and the token may
/// change meanwhile, so that it looks again every `period`.
pub(crate) async fn expiry(session: &Session, runtime: &dyn Runtime, period: Duration) -> Error {
    while check(session, runtime).is_ok() {
        let left = session.expires_at_ms().map_or(period, |at| {
            Duration::from_millis(at.saturating_sub(runtime.now_ms()))
        });
        runtime.sleep(left.min(period)).await;
    }
    expired()
}
