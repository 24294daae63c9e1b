//! What all connections of a server share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use grid_core::traits::{Authenticator, Runtime};
use grid_core::{DigestKey, History};
use tokio::sync::Semaphore;

use super::views::Views;
use crate::config::Settings;
use crate::layer::GatewayService;
use crate::lifecycle::Lifecycle;
use crate::sessions::Codecs;
use crate::worker::Mailboxes;

/// What all connections of a server share.
#[derive(Debug, Clone)]
pub(crate) struct GatewayContext {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) codecs: Codecs,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) pipeline: GatewayService,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) views: Arc<Views>,
    pub(crate) history: History,
    pub(crate) digest_key: DigestKey,
    pub(crate) lifecycle: Lifecycle,
    /// One permit for each connection that may be open.
    pub(crate) seats: Arc<Semaphore>,
    /// The number of the last connection.
    pub(crate) last_session: Arc<AtomicU64>,
}
