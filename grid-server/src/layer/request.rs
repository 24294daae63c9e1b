//! What travels through the layers of the gateway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grid_core::Error;
use grid_core::partition::Veto;
use grid_core::protocol::Message;
use tower::util::BoxCloneSyncService;

use crate::sessions::Session;
use crate::worker::op_bytes;

/// Bytes that a message counts for which carries no ops.
const SMALL_MESSAGE_BYTES: usize = 1024;

/// Why a request is not served now, and when it may come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// Why, for people.
    pub message: String,
    /// How long the client waits.
    pub retry_after: Duration,
}

impl PutOff {
    /// The wait in whole milliseconds, 1 at least.
    pub(crate) fn retry_after_ms(&self) -> u32 {
        let rounded_up = self.retry_after.as_nanos().div_ceil(1_000_000).max(1);
        u32::try_from(rounded_up).unwrap_or(u32::MAX)
    }
}

/// One message of a client.
#[derive(Debug, Clone)]
pub struct Request {
    /// The connection that it came on.
    pub session: Arc<Session>,
    /// The message.
    pub message: Message,
    /// Refusals of single ops of a push, by their places in it, and why. They get their verdict in
    /// their turn. A layer leaves the refusals of those before it.
    pub vetoes: BTreeMap<usize, Veto>,
    /// Why the whole of it is not served now, once a layer has said so. A push is answered in its
    /// turn, and its client pushes again; with anything else, the connection ends.
    pub put_off: Option<PutOff>,
}

impl Request {
    /// A request that no layer has seen.
    #[must_use]
    pub fn new(session: Arc<Session>, message: Message) -> Self {
        Self {
            session,
            message,
            vetoes: BTreeMap::new(),
            put_off: None,
        }
    }

    /// Has the client ask again after `retry_after`. Hand the request on nevertheless: it is
    /// answered further in. What an earlier layer said stands.
    pub fn put_off(&mut self, message: &str, retry_after: Duration) {
        self.put_off.get_or_insert_with(|| PutOff {
            message: message.to_owned(),
            retry_after,
        });
    }

    /// Whether it carries ops.
    pub(crate) fn is_push(&self) -> bool {
        matches!(self.message, Message::Push(_))
    }

    /// Whether it only gives something back to the server, so that nothing is gained by making it
    /// wait.
    pub(crate) fn frees(&self) -> bool {
        matches!(
            self.message,
            Message::Stored(_) | Message::Release(_) | Message::Unsubscribe(_)
        )
    }

    /// The bytes that it counts for while it waits.
    pub(crate) fn bytes(&self) -> usize {
        match &self.message {
            Message::Push(push) => push.ops.iter().map(op_bytes).sum(),
            _ => SMALL_MESSAGE_BYTES,
        }
    }
}

/// The gateway's pipeline, or a part of it: it returns when the request was handed on, and its
/// error ends the connection. A program may wrap it with layers of its own.
pub type GatewayService = BoxCloneSyncService<Request, (), Error>;
