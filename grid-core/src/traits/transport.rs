//! The traits that carry frames between two parties.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::maybe_send::{MaybeSend, MaybeSync};

/// What a transport can do; declared, never discovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportCapabilities {
    /// Whether [`Transport::listen`] works; in the browser it does not.
    pub listens: bool,
    /// The largest frame, in bytes.
    pub max_frame_bytes: usize,
}

/// A way to reach a server, or to be reached: WebSocket, memory, the simulator's links.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Transport: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// What this transport can do.
    fn capabilities(&self) -> TransportCapabilities;

    /// Opens a connection to `url`.
    ///
    /// # Errors
    /// `Invalid` when the URL cannot be used, `Unavailable` when nobody answers there.
    async fn connect(&self, url: &str) -> Result<Arc<dyn Connection>>;

    /// Starts to accept connections at `url`; a port of 0 means any free one.
    ///
    /// # Errors
    /// `Locked` when the address is in use, `Unsupported` when the transport cannot listen.
    async fn listen(&self, url: &str) -> Result<Arc<dyn Listener>>;
}

/// An address at which connections arrive.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Listener: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// The URL under which this listener can be reached, with the real port.
    fn url(&self) -> String;

    /// The next connection. A peer that fails its opening handshake never shows up here and never
    /// holds up others.
    ///
    /// # Errors
    /// `Closed` after [`Listener::close`].
    async fn accept(&self) -> Result<Arc<dyn Connection>>;

    /// Stops accepting; connections that exist go on.
    async fn close(&self);
}

/// One connection: frames in both directions, in order, each delivered at most once.
///
/// One task sends and one task receives at a time; the two may be different tasks.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Connection: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// The other side, for logs: an address.
    fn peer(&self) -> String;

    /// Sends all of `frames` with one flush; returns when the transport has taken them.
    ///
    /// # Errors
    /// `TooLarge` when a frame exceeds the declared bound (nothing was sent), `Closed` when the
    /// connection is gone.
    async fn send(&self, frames: &[Bytes]) -> Result<()>;

    /// Waits for one frame and appends it to `frames`, with others that are there already, up to
    /// `limit` (at least 1). Dropping the future loses no frame.
    ///
    /// # Errors
    /// `Closed` when the other side closed, `Unavailable` when the connection broke, `TooLarge` or
    /// `Protocol` when the peer sent something that is no frame; after an error every call fails.
    async fn receive(&self, frames: &mut Vec<Bytes>, limit: usize) -> Result<()>;

    /// Closes the connection; pending calls on both sides end with `Closed`.
    async fn close(&self);
}
