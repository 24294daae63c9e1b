//! A TCP port at which WebSockets arrive.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures::FutureExt;
use grid_core::traits::{Connection, Listener, Runtime};
use grid_core::{Error, ErrorKind, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as TurnMutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_tungstenite::accept_async_with_config;

use super::config::{
    ACCEPT_PAUSE, HANDSHAKE_TIMEOUT, MAX_HANDSHAKES, READY_CONNECTIONS, socket_config,
};
use super::connection::WebSocketConnection;

#[derive(Debug)]
struct State {
    /// `None` once the listener is closed: dropping it frees the port at once.
    port: Option<TcpListener>,
    waiting: Option<Waker>,
}

/// Accepts TCP connections while somebody waits in `accept`; each makes its handshake in a task
/// of its own, so that one that stalls holds up nobody.
#[derive(Debug)]
pub(super) struct WebSocketListener {
    local: SocketAddr,
    state: Mutex<State>,
    handshakes: Arc<Semaphore>,
    finished: mpsc::Sender<Arc<WebSocketConnection>>,
    ready: TurnMutex<mpsc::Receiver<Arc<WebSocketConnection>>>,
    runtime: Arc<dyn Runtime>,
}

/// What `accept` waited for.
enum Arrival {
    Ready(Arc<WebSocketConnection>),
    Caller(TcpStream, SocketAddr, OwnedSemaphorePermit),
    Refused(std::io::Error),
    Closed,
}

impl WebSocketListener {
    pub(super) fn new(local: SocketAddr, port: TcpListener, runtime: Arc<dyn Runtime>) -> Self {
        let (finished, ready) = mpsc::channel(READY_CONNECTIONS);
        Self {
            local,
            state: Mutex::new(State {
                port: Some(port),
                waiting: None,
            }),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            finished,
            ready: TurnMutex::new(ready),
            runtime,
        }
    }

    /// The next caller, once there is room for its handshake.
    async fn caller(&self) -> Arrival {
        let Ok(permit) = Arc::clone(&self.handshakes).acquire_owned().await else {
            return Arrival::Closed;
        };
        match poll_fn(|context| self.poll_port(context)).await {
            Some(Ok((stream, peer))) => Arrival::Caller(stream, peer, permit),
            Some(Err(cause)) => Arrival::Refused(cause),
            None => Arrival::Closed,
        }
    }

    fn poll_port(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<(TcpStream, SocketAddr)>>> {
        let mut state = self.lock();
        let Some(port) = &state.port else {
            return Poll::Ready(None);
        };
        let outcome = port.poll_accept(context).map(Some);
        if outcome.is_pending() {
            state.waiting = Some(context.waker().clone());
        }
        outcome
    }

    /// Starts the handshake of a caller.
    fn welcome(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let finished = self.finished.clone();
        let runtime = Arc::clone(&self.runtime);
        let handshake = async move {
            let timeout = runtime.sleep(HANDSHAKE_TIMEOUT);
            futures::select_biased! {
                () = Box::pin(shake_hands(stream, peer, finished, Arc::clone(&runtime))).fuse() => {}
                () = timeout.fuse() => {
                    tracing::debug!(%peer, "the caller did not finish its handshake in time");
                }
            }
            drop(permit);
        };
        self.runtime
            .spawn("websocket handshake", Box::pin(handshake));
    }

    fn shut(&self) {
        let mut state = self.lock();
        let port = state.port.take();
        let waiting = state.waiting.take();
        drop(state);
        drop(port);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The opening handshake; a caller that fails it is dropped.
async fn shake_hands(
    stream: TcpStream,
    peer: SocketAddr,
    finished: mpsc::Sender<Arc<WebSocketConnection>>,
    runtime: Arc<dyn Runtime>,
) {
    if let Err(cause) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %cause, "the caller is gone already");
        return;
    }
    match accept_async_with_config(stream, Some(socket_config())).await {
        Ok(stream) => {
            let connection = WebSocketConnection::new(peer.to_string(), stream, runtime);
            if finished.send(Arc::new(connection)).await.is_err() {
                tracing::debug!(%peer, "the listener closed during the handshake");
            }
        }
        Err(cause) => tracing::debug!(%peer, %cause, "the caller failed its handshake"),
    }
}

#[async_trait]
impl Listener for WebSocketListener {
    fn url(&self) -> String {
        format!("ws://{}", self.local)
    }

    async fn accept(&self) -> Result<Arc<dyn Connection>> {
        let mut ready = self.ready.lock().await;
        loop {
            let arrival = futures::select_biased! {
                finished = Box::pin(ready.recv()).fuse() => {
                    finished.map_or(Arrival::Closed, Arrival::Ready)
                }
                arrival = Box::pin(self.caller()).fuse() => arrival,
            };
            match arrival {
                Arrival::Ready(connection) => return Ok(connection),
                Arrival::Caller(stream, peer, permit) => self.welcome(stream, peer, permit),
                Arrival::Refused(cause) => {
                    tracing::warn!(address = self.url(), %cause, "cannot accept now; trying again");
                    self.runtime.sleep(ACCEPT_PAUSE).await;
                }
                Arrival::Closed => {
                    // Those that nobody will accept must see their connection end.
                    ready.close();
                    while ready.try_recv().is_ok() {}
                    return Err(
                        Error::new(ErrorKind::Closed, "accept", "the listener is closed")
                            .with("address", self.url()),
                    );
                }
            }
        }
    }

    async fn close(&self) {
        self.shut();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WebSocketTransport;
    use grid_runtime_tokio::TokioRuntime;

    #[tokio::test]
    async fn neither_side_delays_a_frame_to_send_it_with_more() {
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current().unwrap());
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", port.local_addr().unwrap());
        let (finished, mut ready) = mpsc::channel(1);
        let serving = async {
            let (stream, peer) = port.accept().await.unwrap();
            shake_hands(stream, peer, finished, Arc::clone(&runtime)).await;
            ready.recv().await.unwrap()
        };
        let transport = WebSocketTransport::new(Arc::clone(&runtime));
        let (near, far) = tokio::join!(transport.open_url(&url), serving);
        assert!(near.unwrap().socket().nodelay());
        assert!(far.socket().nodelay());
    }
}
