//! A TCP port at which WebSockets arrive.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures::FutureExt;
use grid_core::traits::{Connection, Listener, Runtime};
use grid_core::{Error, ErrorKind, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as TurnMutex, mpsc, oneshot};
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
    /// What ends a handshake under way, the oldest first; those that are over are closed.
    handshakes: VecDeque<oneshot::Sender<()>>,
}

/// Accepts TCP connections while somebody waits in `accept`; each makes its handshake in a task
/// of its own, so that one that stalls holds up nobody.
#[derive(Debug)]
pub(super) struct WebSocketListener {
    local: SocketAddr,
    state: Mutex<State>,
    max_handshakes: usize,
    finished: mpsc::Sender<Arc<WebSocketConnection>>,
    ready: TurnMutex<mpsc::Receiver<Arc<WebSocketConnection>>>,
    runtime: Arc<dyn Runtime>,
}

/// What `accept` waited for.
enum Arrival {
    Ready(Arc<WebSocketConnection>),
    Caller(TcpStream, SocketAddr),
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
                handshakes: VecDeque::new(),
            }),
            max_handshakes: MAX_HANDSHAKES,
            finished,
            ready: TurnMutex::new(ready),
            runtime,
        }
    }

    /// The next caller.
    async fn caller(&self) -> Arrival {
        match poll_fn(|context| self.poll_port(context)).await {
            Some(Ok((stream, peer))) => Arrival::Caller(stream, peer),
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

    /// Ends the handshakes that take longest until fewer than `most` are under way.
    fn make_room(&self, most: usize) {
        let mut state = self.lock();
        let handshakes = &mut state.handshakes;
        if handshakes.len() >= most {
            handshakes.retain(|handshake| !handshake.is_closed());
        }
        while handshakes.len() >= most {
            let Some(oldest) = handshakes.pop_front() else {
                return;
            };
            // One that has just come to its end by itself is as good.
            let _ended = oldest.send(());
        }
    }

    /// Starts the handshake of a caller.
    fn welcome(&self, stream: TcpStream, peer: SocketAddr) {
        self.make_room(self.max_handshakes);
        let (end, ended) = oneshot::channel();
        self.lock().handshakes.push_back(end);
        let finished = self.finished.clone();
        let runtime = Arc::clone(&self.runtime);
        let handshake = async move {
            let timeout = runtime.sleep(HANDSHAKE_TIMEOUT);
            futures::select_biased! {
                () = Box::pin(shake_hands(stream, peer, finished, Arc::clone(&runtime))).fuse() => {}
                () = timeout.fuse() => {
                    tracing::debug!(%peer, "the caller did not finish its handshake in time");
                }
                _ = ended.fuse() => {
                    tracing::debug!(%peer, "the caller's handshake gave way to another caller's");
                }
            }
        };
        self.runtime
            .spawn("websocket handshake", Box::pin(handshake));
    }

    fn handshakes_under_way(&self) -> usize {
        let state = self.lock();
        let under_way = state.handshakes.iter().filter(|each| !each.is_closed());
        under_way.count()
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
                Arrival::Caller(stream, peer) => self.welcome(stream, peer),
                Arrival::Refused(cause) => {
                    tracing::warn!(address = self.url(), %cause, "cannot accept now; trying again");
                    // The process may have no file descriptor left, and half of these give way.
                    self.make_room(self.handshakes_under_way() / 2 + 1);
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
    use grid_core::traits::Transport;
    use grid_runtime_tokio::TokioRuntime;

    #[tokio::test]
    async fn a_caller_gets_in_over_many_that_say_nothing() {
        use tokio::io::AsyncReadExt;

        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current().unwrap());
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = port.local_addr().unwrap();
        let mut listener = WebSocketListener::new(local, port, Arc::clone(&runtime));
        listener.max_handshakes = 3;
        let transport = WebSocketTransport::new(Arc::clone(&runtime));
        let calling = async {
            let mut silent = Vec::new();
            for _ in 0..10 {
                silent.push(TcpStream::connect(local).await.unwrap());
            }
            let url = listener.url();
            transport.connect(&url).await.unwrap();
            // Not all of them: the time that a handshake may take is not over.
            let mut ended = Vec::new();
            for stream in &mut silent {
                let mut byte = [0];
                let read = std::pin::pin!(stream.read(&mut byte));
                let waited = runtime.sleep(std::time::Duration::from_millis(200));
                let first = futures::future::select(read, waited).await;
                ended.push(matches!(first, futures::future::Either::Left(_)));
            }
            (ended, silent)
        };
        let ((ended, silent), accepted) = tokio::join!(calling, listener.accept());
        accepted.unwrap();
        let expected: Vec<bool> = (0..10).map(|number| number < 8).collect();
        assert_eq!(ended, expected, "the oldest give way");
        assert_eq!(listener.handshakes_under_way(), 2);
        listener.make_room(2);
        assert_eq!(listener.handshakes_under_way(), 1);
        drop(silent);
    }

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
