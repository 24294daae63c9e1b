//! Waiting for other processes, never for ever.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Result};

/// What `future` returns, if it does so within `limit`.
///
/// # Errors
/// `Timeout`, naming what was waited for.
pub(crate) async fn within<T>(
    runtime: &dyn Runtime,
    limit: Duration,
    what: &str,
    future: impl Future<Output = T>,
) -> Result<T> {
    match select(pin!(future), runtime.sleep(limit)).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(_) => Err(Error::new(
            ErrorKind::Timeout,
            "crash test",
            format!("{what} within {limit:?}: in vain"),
        )),
    }
}

/// What a blocking `call` returns.
///
/// # Errors
/// As the call's; `Internal` when it panics.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the testkit starts and ends real servers by calls that block"
    )]
    let joined = tokio::task::spawn_blocking(call).await;
    let failed = |message: String| Error::new(ErrorKind::Internal, "crash test", message);
    joined
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))
}
