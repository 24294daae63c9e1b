//! The transport: names to connections.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::limits::MAX_FRAME_BYTES;
use grid_core::traits::{Connection, Listener, Transport, TransportCapabilities};
use grid_core::{Error, ErrorKind, Result};

use crate::connection::MemoryConnection;
use crate::hub::MemoryHub;
use crate::listener::MemoryListener;

/// Connections within one process, between parties that share a [`MemoryHub`].
///
/// ```
/// use grid_core::traits::{Connection, Listener, Transport};
/// use grid_transport_memory::{MemoryHub, MemoryTransport};
///
/// # futures::executor::block_on(async {
/// let transport = MemoryTransport::new(MemoryHub::new());
/// let listener = transport.listen("memory:office").await?;
/// let near = transport.connect("memory:office").await?;
/// let far = listener.accept().await?;
/// near.send(&["hello".into()]).await?;
/// let mut frames = Vec::new();
/// far.receive(&mut frames, 16).await?;
/// assert_eq!(frames, ["hello"]);
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryTransport {
    hub: MemoryHub,
}

impl MemoryTransport {
    /// A transport among the listeners of `hub`.
    #[must_use]
    pub fn new(hub: MemoryHub) -> Self {
        Self { hub }
    }
}

/// The name in `memory:NAME`.
fn name_of<'a>(operation: &'static str, url: &'a str) -> Result<&'a str> {
    match url.strip_prefix("memory:") {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(Error::new(
            ErrorKind::Invalid,
            operation,
            "the URL of the memory transport is memory:NAME",
        )),
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Transport for MemoryTransport {
    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities {
            listens: true,
            max_frame_bytes: MAX_FRAME_BYTES,
        }
    }

    async fn connect(&self, url: &str) -> Result<Arc<dyn Connection>> {
        let name = name_of("connect", url)?;
        let backlog = self.hub.find(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "connect",
                "nobody in this process listens there; start the server first",
            )
            .with("address", url)
        })?;
        let (near, far) = MemoryConnection::pair(name);
        if backlog.offer(far) {
            return Ok(Arc::new(near));
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "connect",
            "the listener has too many callers waiting, or is closing; try again",
        )
        .with("address", url))
    }

    async fn listen(&self, url: &str) -> Result<Arc<dyn Listener>> {
        let name = name_of("listen", url)?;
        Ok(Arc::new(MemoryListener::bind(self.hub.clone(), name)?))
    }
}
