//! A TCP proxy that can be cut, stalled and measured, for tests with real sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes read from a socket at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What the proxy does with traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Passes it on.
    Up,
    /// Closes connections and lets no new one through.
    Cut,
    /// Keeps connections open and passes nothing on: an open socket that has gone silent.
    Stalled,
}

/// A proxy in front of one TCP server. Ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<LinkState>,
    upstream: watch::Sender<SocketAddr>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    to_server: AtomicU64,
    to_client: AtomicU64,
}

impl Proxy {
    /// Starts a proxy to `upstream` on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (state, _) = watch::channel(LinkState::Up);
        let (upstream, upstream_now) = watch::channel(upstream);
        let counts = Arc::<Counts>::default();
        let task = accept(
            listener,
            state.subscribe(),
            upstream_now,
            Arc::clone(&counts),
        );
        spawn(task);
        Ok(Self {
            address,
            state,
            upstream,
            counts,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens with traffic from now on.
    pub fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }

    /// Sends new connections to another server.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.upstream.send_replace(upstream);
    }

    /// Bytes passed on so far: towards the server, and towards the clients. What one side has
    /// received is counted.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.counts.to_server), load(&self.counts.to_client))
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the proxy is made of real sockets on tokio"
    )]
    tokio::spawn(task);
}

/// Ends when the [`Proxy`] and with it the sender of `state` is gone.
async fn accept(
    listener: TcpListener,
    mut state: watch::Receiver<LinkState>,
    upstream: watch::Receiver<SocketAddr>,
    counts: Arc<Counts>,
) {
    loop {
        let accepted = {
            let accept = std::pin::pin!(listener.accept());
            let gone = std::pin::pin!(async { while state.changed().await.is_ok() {} });
            match futures::future::select(accept, gone).await {
                futures::future::Either::Left((accepted, _)) => accepted,
                futures::future::Either::Right(_) => return,
            }
        };
        let Ok((client, _)) = accepted else { continue };
        if *state.borrow() == LinkState::Cut {
            continue;
        }
        let to = *upstream.borrow();
        let (state, counts) = (state.clone(), Arc::clone(&counts));
        spawn(async move {
            let Ok(server) = TcpStream::connect(to).await else {
                return;
            };
            // Latency is measured through here too.
            if client
                .set_nodelay(true)
                .and_then(|()| server.set_nodelay(true))
                .is_err()
            {
                return;
            }
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            let up = pump(client_read, server_write, state.clone(), &counts.to_server);
            let down = pump(server_read, client_write, state, &counts.to_client);
            futures::future::join(up, down).await;
        });
    }
}

/// Copies one direction until either end closes or the link is cut.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<LinkState>,
    count: &AtomicU64,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = {
            let read = std::pin::pin!(from.read(&mut buffer));
            let cut = std::pin::pin!(until_cut(state.clone()));
            match futures::future::select(read, cut).await {
                futures::future::Either::Left((read, _)) => read,
                futures::future::Either::Right(_) => return,
            }
        };
        let Ok(length @ 1..) = read else { return };
        // While the link is stalled the bytes wait here, and in the sockets' buffers behind them.
        let Ok(now) = state
            .wait_for(|state| *state != LinkState::Stalled)
            .await
            .map(|now| *now)
        else {
            return;
        };
        if now == LinkState::Cut {
            return;
        }
        // Before they go on, so that whoever has received bytes finds them counted.
        count.fetch_add(u64::try_from(length).unwrap_or(u64::MAX), Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Returns when the link is cut or its proxy is gone.
async fn until_cut(mut state: watch::Receiver<LinkState>) {
    // An error means that the proxy is gone, which ends its connections as a cut does.
    drop(state.wait_for(|state| *state == LinkState::Cut).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo_server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                spawn(async move {
                    let (mut read, mut write) = socket.split();
                    drop(tokio::io::copy(&mut read, &mut write).await);
                });
            }
        });
        address
    }

    async fn echo(socket: &mut TcpStream, text: &[u8]) -> io::Result<()> {
        socket.write_all(text).await?;
        let mut answer = vec![0; text.len()];
        socket.read_exact(&mut answer).await?;
        assert_eq!(answer, text);
        Ok(())
    }

    #[tokio::test]
    async fn passes_counts_stalls_and_cuts() {
        let proxy = Proxy::start(echo_server().await).await.expect("starts");
        let mut socket = TcpStream::connect(proxy.address()).await.expect("connects");
        echo(&mut socket, b"hello").await.expect("echoes");
        assert_eq!(proxy.bytes(), (5, 5));

        proxy.set(LinkState::Stalled);
        socket
            .write_all(b"later")
            .await
            .expect("the socket is open");
        let mut answer = [0; 5];
        let mut read = Box::pin(socket.read_exact(&mut answer));
        assert!(futures::poll!(&mut read).is_pending());
        proxy.set(LinkState::Up);
        read.await.expect("arrives once the link is up");
        assert_eq!(&answer, b"later");

        proxy.set(LinkState::Cut);
        assert!(echo(&mut socket, b"lost").await.is_err());
        let mut refused = TcpStream::connect(proxy.address())
            .await
            .expect("the port is open");
        assert!(echo(&mut refused, b"lost").await.is_err());
        proxy.set(LinkState::Up);
        let mut again = TcpStream::connect(proxy.address()).await.expect("connects");
        echo(&mut again, b"back").await.expect("echoes");
    }
}
