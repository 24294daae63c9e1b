//! The transport: URLs to connections and listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use grid_core::Result;
use grid_core::limits::MAX_FRAME_BYTES;
use grid_core::traits::{Connection, Listener, Runtime, Transport, TransportCapabilities};
use tokio::net::{TcpListener, TcpStream, lookup_host};
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

    /// TCP to the first of `addresses` that answers. Each gets its share of the time, so that one
    /// that swallows packets, as IPv6 does in broken networks, does not use up that of the others.
    async fn reach(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let share = HANDSHAKE_TIMEOUT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            let timeout = self.runtime.sleep(share);
            let reached = futures::select_biased! {
                reached = Box::pin(TcpStream::connect(address)).fuse() => reached,
                () = timeout.fuse() => Err(io::ErrorKind::TimedOut.into()),
            };
            match reached {
                Ok(stream) => return Ok(stream),
                Err(cause) => failure = cause,
            }
        }
        Err(failure)
    }

    async fn open(&self, address: &Address, url: &str) -> Result<WebSocketConnection> {
        let unreachable = |cause| error::reach(address, cause);
        let found = lookup_host(address.endpoint()).await.map_err(unreachable)?;
        let found: Vec<SocketAddr> = found.collect();
        let stream = self.reach(&found).await.map_err(unreachable)?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use grid_core::BoxFuture;
    use grid_runtime_tokio::TokioRuntime;
    use tokio::net::TcpSocket;

    use super::*;

    /// Its time runs a hundred times faster.
    #[derive(Debug)]
    struct Hasty(TokioRuntime);

    impl Runtime for Hasty {
        fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
            self.0.spawn(name, task);
        }
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.0.sleep(duration / 100)
        }
        fn now_ms(&self) -> u64 {
            self.0.now_ms()
        }
        fn monotonic(&self) -> Duration {
            self.0.monotonic()
        }
        fn random(&self) -> u64 {
            self.0.random()
        }
    }

    #[tokio::test]
    async fn an_address_that_swallows_packets_does_not_hide_one_that_answers() {
        let runtime = TokioRuntime::current().unwrap();
        // A listener whose queue is full: the system drops what comes.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(1).unwrap();
        let swallowing = full.local_addr().unwrap();
        let mut queued = Vec::new();
        loop {
            let timeout = runtime.sleep(Duration::from_millis(200));
            futures::select_biased! {
                stream = Box::pin(TcpStream::connect(swallowing)).fuse() => {
                    queued.push(stream.unwrap());
                }
                () = timeout.fuse() => break,
            }
        }
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answering = port.local_addr().unwrap();
        let closed = {
            let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port.local_addr().unwrap()
        };
        let transport = WebSocketTransport::new(Arc::new(Hasty(runtime)));
        let reached = transport.reach(&[closed, swallowing, answering]).await;
        assert_eq!(reached.unwrap().peer_addr().unwrap(), answering);
        let error = transport.reach(&[swallowing]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = transport.reach(&[closed]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(transport.reach(&[]).await.is_err());
    }
}
