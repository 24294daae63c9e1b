//! The task that sends what waits for one connection.

use std::sync::Arc;

use bytes::Bytes;
use grid_core::traits::Connection;

use crate::sessions::Session;
use crate::worker::{Mailboxes, WorkerMessage};

/// Sends until the queue has ended or the connection is gone; all that is ready goes with one
/// flush.
pub(super) async fn write(
    connection: Arc<dyn Connection>,
    session: Arc<Session>,
    mailboxes: Mailboxes,
) {
    let outgoing = session.outgoing();
    while let Some(frames) = outgoing.next().await {
        if let Err(error) = connection.send(&frames).await {
            tracing::debug!(session = session.id(), %error, "the connection is gone");
            outgoing.end(None);
            outgoing.clear();
            break;
        }
        let bytes = frames.iter().map(Bytes::len).sum();
        for worker in outgoing.sent(bytes) {
            let drained = WorkerMessage::Drained(session.id());
            if mailboxes.send(worker, drained).await.is_err() {
                // The server is ending: nobody has more to send.
                break;
            }
        }
    }
    connection.close().await;
}
