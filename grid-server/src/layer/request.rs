//! What travels through the layers of the gateway.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::Error;
use grid_core::partition::Veto;
use grid_core::protocol::Message;
use tower::util::BoxCloneSyncService;

use crate::sessions::Session;

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
}

impl Request {
    /// A request that no layer has seen.
    #[must_use]
    pub fn new(session: Arc<Session>, message: Message) -> Self {
        Self {
            session,
            message,
            vetoes: BTreeMap::new(),
        }
    }
}

/// The gateway's pipeline, or a part of it: it returns when the request was handed on, and its
/// error ends the connection. A program may wrap it with layers of its own.
pub type GatewayService = BoxCloneSyncService<Request, (), Error>;
