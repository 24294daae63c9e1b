//! Taking turns with other tasks.

use std::future::poll_fn;
use std::task::Poll;

/// Completes once every task that is ready has had its turn.
pub(crate) async fn let_others_run() {
    let mut ran = false;
    poll_fn(|context| {
        if ran {
            return Poll::Ready(());
        }
        ran = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
