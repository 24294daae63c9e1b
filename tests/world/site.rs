//! A server on a real socket, the proxy before it, and devices.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use grid_core::traits::{Journal, Persistence, Policy};
use grid_server::{MemoryJournal, Server, Settings};
use grid_testkit::proxy::Proxy;
use hybrid_grid::{Backoff, Fate, Grid, GridBuilder, Map, NotAcked, WriteHandle, registry};
use serde::de::DeserializeOwned;

use super::clock::WrongClock;

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Nobody listens there: what the proxy leads to before the server starts.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A place for one server, with what outlives it, and the proxy through which it is reached.
pub(crate) struct Site {
    pub(crate) clock: WrongClock,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) persistence: Arc<dyn Persistence>,
    pub(crate) policy: Option<Arc<dyn Policy>>,
    pub(crate) settings: Settings,
    pub(crate) proxy: Proxy,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let clock = WrongClock::new(0);
        let runtime = Arc::new(clock.clone());
        let persistence = registry().open_persistence("memory:", runtime).await;
        Self {
            clock,
            journal: Arc::new(MemoryJournal::new()),
            persistence: persistence.unwrap(),
            policy: None,
            settings: Settings {
                housekeeping_ms: 20,
                flush_interval_ms: 50,
                ..Settings::default()
            },
            proxy: Proxy::start(NOWHERE).await.unwrap(),
        }
    }

    /// Starts the server and leads the proxy to it.
    pub(crate) async fn start(&self) -> Server {
        let runtime = Arc::new(self.clock.clone());
        let url = "ws://127.0.0.1:0";
        let transport = registry().transport(url, runtime.clone()).unwrap();
        let mut builder = Server::builder()
            .runtime(runtime)
            .journal(self.journal.clone())
            .persistence(self.persistence.clone())
            .settings(self.settings.clone())
            .listen(transport.listen(url).await.unwrap());
        if let Some(policy) = &self.policy {
            builder = builder.policy(policy.clone());
        }
        let server = builder.start().await.unwrap();
        self.proxy.set_upstream(address(&server));
        server
    }

    /// Opens the database at `url` for the next start.
    pub(crate) async fn database(&mut self, url: &str) {
        let runtime = Arc::new(self.clock.clone());
        let persistence = registry().open_persistence(url, runtime).await;
        self.persistence = persistence.unwrap();
    }

    /// A device that reaches the server through the site's proxy.
    pub(crate) fn device(&self) -> GridBuilder {
        through(&self.proxy)
    }

    /// A line of its own to a server.
    pub(crate) async fn line(server: &Server) -> Proxy {
        Proxy::start(address(server)).await.unwrap()
    }
}

/// Where a server listens.
pub(crate) fn address(server: &Server) -> SocketAddr {
    let url = server.url().unwrap();
    url.strip_prefix("ws://").unwrap().parse().unwrap()
}

/// A device that reaches the server through `proxy`, and comes back soon after a loss.
pub(crate) fn through(proxy: &Proxy) -> GridBuilder {
    let backoff = Backoff {
        shortest: Duration::from_millis(20),
        longest: Duration::from_millis(100),
    };
    Grid::builder()
        .server(format!("ws://{}", proxy.address()))
        .backoff(backoff)
}

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(PATIENCE, what, future).await
}

/// Waits for something that must happen in this time.
pub(crate) async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    #[expect(clippy::disallowed_methods, reason = "real sockets take real time")]
    let done = tokio::time::timeout(limit, future).await;
    done.unwrap_or_else(|_| panic!("{what}: it did not happen in {limit:?}"))
}

/// Waits for the server's verdict on a write.
pub(crate) async fn verdict(write: WriteHandle) -> Result<Fate, NotAcked> {
    soon("a verdict", write.acked()).await
}

/// Waits until nothing is pending and every open map is level.
pub(crate) async fn flushed(grid: &Grid) {
    let flushed = soon("flush", grid.flushed()).await;
    flushed.unwrap();
}

/// Waits until the connection of a device is gone.
pub(crate) async fn offline(grid: &Grid) {
    let mut connection = grid.connection();
    let gone = connection.until(|state| !state.is_connected());
    soon("the loss of the connection", gone).await;
}

/// What a map shows.
pub(crate) fn contents<T: DeserializeOwned>(map: &Map<T>) -> BTreeMap<String, T> {
    map.iter()
        .map(|entry| {
            let (key, value) = entry.unwrap();
            (key.to_string(), value)
        })
        .collect()
}

/// Waits until several devices have nothing pending and see the same in a map; what that is.
pub(crate) async fn agree<T>(grids: &[&Grid], map: &str) -> BTreeMap<String, T>
where
    T: DeserializeOwned + PartialEq + Debug,
{
    let maps: Vec<Map<T>> = grids.iter().map(|grid| grid.map(map).unwrap()).collect();
    let mut live: Vec<_> = maps.iter().map(Map::subscribe).collect();
    soon("agreement", async {
        loop {
            for grid in grids {
                flushed(grid).await;
            }
            let first = contents(&maps[0]);
            if maps.iter().all(|map| contents(map) == first) {
                return first;
            }
            // What one of them pushed last is still on its way to another.
            let mut events: FuturesUnordered<_> = live.iter_mut().map(|one| one.next()).collect();
            assert!(events.next().await.is_some(), "a grid was closed");
        }
    })
    .await
}
