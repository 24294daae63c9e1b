//! The transport: URLs to connections and listeners.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use grid_core::Result;
use grid_core::limits::MAX_FRAME_BYTES;
use grid_core::traits::{Connection, Listener, Runtime, Transport, TransportCapabilities};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::client_async_with_config;

use super::address::Address;
use super::config::{HANDSHAKE_TIMEOUT, socket_config};
use super::connection::WebSocketConnection;
use super::error;
use super::listener::WebSocketListener;

/// WebSockets over TCP. It has to be used from within a tokio runtime with I/O enabled.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::traits::{Connection, Listener, Transport};
/// use grid_runtime_tokio::TokioRuntime;
/// use grid_transport_websocket::WebSocketTransport;
///
/// # let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
/// # tokio.block_on(async {
/// let transport = WebSocketTransport::new(Arc::new(TokioRuntime::current()?));
/// let listener = transport.listen("ws://127.0.0.1:0").await?;
/// let url = listener.url();
/// let (near, far) = tokio::join!(transport.connect(&url), listener.accept());
/// near?.send(&["hello".into()]).await?;
/// let mut frames = Vec::new();
/// far?.receive(&mut frames, 16).await?;
/// assert_eq!(frames, ["hello"]);
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct WebSocketTransport {
    runtime: Arc<dyn Runtime>,
}

impl WebSocketTransport {
    /// A transport whose time-outs and handshakes run on `runtime`.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime }
    }

    /// TCP connection and opening handshake, within the time-out.
    pub(super) async fn open_url(&self, url: &str) -> Result<WebSocketConnection> {
        let address = Address::parse("connect", url)?;
        let timeout = self.runtime.sleep(HANDSHAKE_TIMEOUT);
        futures::select_biased! {
            opened = Box::pin(self.open(&address, url)).fuse() => opened,
            () = timeout.fuse() => Err(error::handshake_timeout(&address)),
        }
    }

    async fn open(&self, address: &Address, url: &str) -> Result<WebSocketConnection> {
        let unreachable = |cause| error::reach(address, cause);
        let stream = TcpStream::connect(address.endpoint())
            .await
            .map_err(unreachable)?;
        // Frames are gathered before each flush: waiting for more to send only costs time.
        stream.set_nodelay(true).map_err(unreachable)?;
        let (stream, _response) = client_async_with_config(url, stream, Some(socket_config()))
            .await
            .map_err(|cause| error::handshake(address, cause))?;
        Ok(WebSocketConnection::new(
            address.to_string(),
            stream,
            Arc::clone(&self.runtime),
        ))
    }
}

#[async_trait]
impl Transport for WebSocketTransport {
    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities {
            listens: true,
            max_frame_bytes: MAX_FRAME_BYTES,
        }
    }

    async fn connect(&self, url: &str) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(self.open_url(url).await?))
    }

    async fn listen(&self, url: &str) -> Result<Arc<dyn Listener>> {
        let address = Address::parse("listen", url)?;
        let fail = |cause| error::listen(&address, cause);
        let listener = TcpListener::bind(address.endpoint()).await.map_err(fail)?;
        let local = listener.local_addr().map_err(fail)?;
        Ok(Arc::new(WebSocketListener::new(
            local,
            listener,
            Arc::clone(&self.runtime),
        )))
    }
}
