//! The world of a test: one server that may come and go, and devices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grid_client::{Grid, GridBuilder, Map};
use grid_core::traits::{Authenticator, Journal, Persistence, Runtime, Storage};
use grid_server::{MemoryJournal, OpenDoor, Server, Settings};
use grid_storage_memory::{MemoryPersistence, MemoryStorage};
use grid_testkit::sim::{Executor, Network, PartyId, SimRuntime};

use crate::policy::Denied;

/// Steps after which a test counts as stuck.
const MAX_STEPS: u64 = 20_000_000;
/// Virtual time after which something that is awaited counts as missing.
const PATIENCE: Duration = Duration::from_secs(600);
const TEST: PartyId = PartyId(1);
pub(crate) const SERVER: PartyId = PartyId(2);
const FIRST_DEVICE: u16 = 10;
pub(crate) const URL: &str = "sim://server";
static NEXT_STORE: AtomicU64 = AtomicU64::new(0);

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) network: Network,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) persistence: Arc<dyn Persistence>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) denied: Arc<Denied>,
    pub(crate) settings: Settings,
}

/// A device: its party in the world and its store, which outlive each opening of the grid.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) party: PartyId,
    pub(crate) store: String,
}

/// Names the seed of a world whose test failed: the test's code runs it again.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the world of this test had the seed {}", self.0);
        }
    }
}

/// Runs `test` in a world of its own.
pub(crate) fn run<F: Future<Output = ()> + Send + 'static>(
    seed: u64,
    test: impl FnOnce(World) -> F,
) {
    let _replay = Replay(seed);
    let executor = Executor::new(seed);
    let world = World {
        executor: executor.clone(),
        network: Network::new(&executor),
        journal: Arc::new(MemoryJournal::new()),
        persistence: Arc::new(MemoryPersistence::new()),
        authenticator: Arc::new(OpenDoor),
        denied: Arc::default(),
        settings: Settings {
            workers: 2,
            partition_count: 13,
            map_spread: 3,
            heartbeat_ms: 1_000,
            ..Settings::default()
        },
    };
    executor.block_on(TEST, MAX_STEPS, test(world));
}

impl World {
    pub(crate) fn runtime(&self, party: PartyId) -> Arc<dyn Runtime> {
        Arc::new(SimRuntime::new(&self.executor, party))
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.runtime(TEST).sleep(time).await;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.executor.now()
    }

    pub(crate) async fn start(&self) -> Server {
        let transport = self.network.transport(SERVER);
        Server::builder()
            .runtime(self.runtime(SERVER))
            .journal(self.journal.clone())
            .persistence(self.persistence.clone())
            .authenticator(self.authenticator.clone())
            .policy(self.denied.clone())
            .settings(self.settings.clone())
            .listen(transport.listen(URL).await.unwrap())
            .start()
            .await
            .unwrap()
    }

    /// Kills the server; with `silent`, clients do not learn of it from their connections.
    pub(crate) fn kill(&self, server: Server, silent: bool) {
        self.executor.crash(SERVER);
        self.network.crash(SERVER, silent);
        drop(server);
    }

    pub(crate) fn device(&self, number: u16) -> Device {
        let store = NEXT_STORE.fetch_add(1, Ordering::Relaxed);
        Device {
            party: PartyId(FIRST_DEVICE + number),
            store: format!("memory:client-test-{store}"),
        }
    }

    pub(crate) fn builder(&self, device: &Device, storage: Arc<dyn Storage>) -> GridBuilder {
        GridBuilder::new()
            .runtime(self.runtime(device.party))
            .storage_backend(storage)
            .server(URL)
            .transport(self.network.transport(device.party))
    }

    pub(crate) async fn open(&self, device: &Device) -> Grid {
        let storage = Arc::new(MemoryStorage::open(&device.store).unwrap());
        self.builder(device, storage).open().await.unwrap()
    }

    /// Ends every task of a device where it stands.
    pub(crate) fn crash(&self, device: &Device, grid: Grid) {
        self.executor.crash(device.party);
        self.network.crash(device.party, false);
        drop(grid);
    }

    /// Waits for something that must happen.
    pub(crate) async fn soon<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        self.soon_or(what, future, String::new).await
    }

    /// Waits for something that must happen, and tells how things stand if it does not.
    async fn soon_or<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
        state: impl FnOnce() -> String,
    ) -> T {
        let patience = self.runtime(TEST).sleep(PATIENCE);
        futures::pin_mut!(future);
        match futures::future::select(future, patience).await {
            futures::future::Either::Left((output, _)) => output,
            futures::future::Either::Right(_) => {
                panic!("{what} did not happen in {PATIENCE:?} {}", state())
            }
        }
    }

    /// Waits until a grid has nothing pending and is level.
    pub(crate) async fn flushed(&self, grid: &Grid) {
        let flushed = self
            .soon_or("flush", grid.flushed(), || {
                format!("{:?} {:?}", grid.connection_state(), grid.status())
            })
            .await;
        flushed.unwrap();
    }

    /// Waits until several grids have nothing pending and see the same; what that is.
    pub(crate) async fn level(&self, grids: &[&Grid], map: &str) -> BTreeMap<String, u64> {
        let maps: Vec<Map<u64>> = grids.iter().map(|grid| grid.map(map).unwrap()).collect();
        self.soon("agreement", async {
            loop {
                for grid in grids {
                    self.flushed(grid).await;
                }
                // What the last one pushed may be on its way to the others.
                let first = contents(&maps[0]);
                if maps.iter().all(|map| contents(map) == first) {
                    return first;
                }
                self.sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    }
}

pub(crate) fn contents(map: &Map<u64>) -> BTreeMap<String, u64> {
    map.iter()
        .map(|entry| {
            let (key, value) = entry.unwrap();
            (key.to_string(), value)
        })
        .collect()
}
