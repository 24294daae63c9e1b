//! Answers that an operator gets in time, also from a system of record that hangs.

use std::time::Duration;

use futures::{FutureExt, select_biased};
use grid_core::maybe_send::MaybeSend;
use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Result};

/// How long the system of record may take: less than the program `grid` waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes of a question to the system of record.
///
/// # Errors
/// `Timeout` when nothing does for 20 seconds.
pub(super) async fn in_time<T>(
    runtime: &dyn Runtime,
    operation: &'static str,
    asked: impl Future<Output = Result<T>> + MaybeSend,
) -> Result<T> {
    let asked = asked.fuse();
    futures::pin_mut!(asked);
    select_biased! {
        answer = asked => answer,
        () = runtime.sleep(PATIENCE).fuse() => Err(Error::new(
            ErrorKind::Timeout,
            operation,
            format!(
                "the database has not answered for {} s: see whether it runs and is not locked, \
                 then ask again; what was ordered may still be carried out, and the list of dead \
                 letters tells",
                PATIENCE.as_secs()
            ),
        )),
    }
}
