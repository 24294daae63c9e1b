//! The stage of a run: a server with its disk and database, devices with their stores, and the
//! network between them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grid_client::{Grid, GridBuilder};
use grid_core::op::Op;
use grid_core::traits::{Decision, Policy, Principal, Runtime, Transport};
use grid_core::{Error, MapName, Result};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_server::{Server, Settings};
use grid_storage_memory::{MemoryPersistence, MemoryStorage};

use super::storage::SlowStorage;
use crate::ModelDisk;
use crate::sim::{Executor, Network, PartyId, SimRuntime};

/// The server.
pub(super) const SERVER: PartyId = PartyId(0);
/// The party of the run itself, which never crashes.
pub(super) const DIRECTOR: PartyId = PartyId(u16::MAX - 1);
const URL: &str = "sim://server";
/// Small, so that segments turn over within a run.
const SEGMENT_BYTES: u64 = 16 * 1024;
/// Keys that the policy keeps everybody from writing start with this.
pub(super) const FORBIDDEN: &str = "no/";

/// What of the server outlives its crashes, and the server while it is up.
struct ServerSide {
    disk: ModelDisk,
    persistence: Arc<MemoryPersistence>,
    running: Option<Server>,
}

/// What of a device outlives its crashes, and its grid while it is up.
struct DeviceSide {
    store: Arc<MemoryStorage>,
    grid: Option<Grid>,
    clock_was_off: bool,
}

/// One world.
#[derive(Clone)]
pub(super) struct World {
    pub(super) executor: Executor,
    pub(super) network: Network,
    server: Arc<Mutex<ServerSide>>,
    devices: Arc<Vec<Mutex<DeviceSide>>>,
    failure: Arc<Mutex<Option<String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The party of a device.
pub(super) fn party(device: usize) -> PartyId {
    PartyId(u16::try_from(device + 1).unwrap_or(u16::MAX - 2))
}

impl World {
    pub(super) fn new(seed: u64, devices: usize) -> Self {
        let executor = Executor::new(seed);
        let device = |_| {
            Mutex::new(DeviceSide {
                store: Arc::new(MemoryStorage::new()),
                grid: None,
                clock_was_off: false,
            })
        };
        Self {
            network: Network::new(&executor),
            server: Arc::new(Mutex::new(ServerSide {
                disk: ModelDisk::new(executor.random()),
                persistence: Arc::new(MemoryPersistence::new()),
                running: None,
            })),
            devices: Arc::new((0..devices).map(device).collect()),
            failure: Arc::default(),
            executor,
        }
    }

    /// Notes that something failed in the background; the first one is what the run failed of.
    pub(super) fn fail(&self, failure: String) {
        lock(&self.failure).get_or_insert(failure);
    }

    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    pub(super) fn runtime(&self, party: PartyId) -> SimRuntime {
        SimRuntime::new(&self.executor, party)
    }

    pub(super) fn device_count(&self) -> usize {
        self.devices.len()
    }

    /// The server's disk, for faults that a plan does not know.
    pub(super) fn disk(&self) -> ModelDisk {
        lock(&self.server).disk.clone()
    }

    /// Starts the server on what is left of its disk and database.
    pub(super) async fn start_server(&self) -> Result<()> {
        let (disk, persistence) = {
            let mut side = lock(&self.server);
            side.persistence = Arc::new(side.persistence.take_over());
            (side.disk.clone(), side.persistence.clone())
        };
        let runtime: Arc<dyn Runtime> = Arc::new(self.runtime(SERVER));
        let options = JournalOptions {
            segment_bytes: SEGMENT_BYTES,
            ..JournalOptions::default()
        };
        let journal = LocalJournal::open(Arc::new(disk), Arc::clone(&runtime), options).await?;
        let listener = self.network.transport(SERVER).listen(URL).await?;
        let settings = Settings {
            workers: 2,
            partition_count: 7,
            map_spread: 3,
            heartbeat_ms: 500,
            ..Settings::default()
        };
        let server = Server::builder()
            .runtime(runtime)
            .journal(Arc::new(journal))
            .persistence(persistence)
            .policy(Arc::new(NoForbiddenKeys))
            .listen(listener)
            .settings(settings)
            .start()
            .await?;
        lock(&self.server).running = Some(server);
        Ok(())
    }

    /// Cuts the server's power.
    pub(super) fn crash_server(&self, silent: bool) {
        self.network.crash(SERVER, silent);
        self.executor.crash(SERVER);
        let mut side = lock(&self.server);
        let gone = side.running.take();
        side.disk.crash();
        drop(side);
        drop(gone);
    }

    pub(super) fn server_is_up(&self) -> bool {
        lock(&self.server).running.is_some()
    }

    /// The server's own way in.
    pub(super) fn server_handle(&self) -> Option<grid_server::Handle> {
        lock(&self.server).running.as_ref().map(Server::handle)
    }

    /// Opens a device on what its store holds.
    pub(super) async fn start_device(&self, device: usize) -> Result<Grid> {
        let store = {
            let mut side = lock(&self.devices[device]);
            side.store = Arc::new(side.store.take_over());
            side.store.clone()
        };
        let runtime = self.runtime(party(device));
        let transport: Arc<dyn Transport> = self.network.transport(party(device));
        let grid = GridBuilder::new()
            .runtime(Arc::new(runtime.clone()))
            .storage_backend(Arc::new(SlowStorage::new(store, runtime)))
            .transport(transport)
            .server(URL)
            .open()
            .await?;
        lock(&self.devices[device]).grid = Some(grid.clone());
        Ok(grid)
    }

    /// Cuts a device's power.
    pub(super) fn crash_device(&self, device: usize) {
        self.network.crash(party(device), self.executor.chance(50));
        self.executor.crash(party(device));
        let gone = lock(&self.devices[device]).grid.take();
        drop(gone);
    }

    /// The grid of a device that is up.
    pub(super) fn grid(&self, device: usize) -> Option<Grid> {
        lock(&self.devices[device]).grid.clone()
    }

    pub(super) fn set_clock(&self, device: usize, offset_ms: i64) {
        self.executor.set_clock_offset_ms(party(device), offset_ms);
        if offset_ms.abs() > FAIR_CLOCK_MS {
            lock(&self.devices[device]).clock_was_off = true;
        }
    }

    pub(super) fn clock_was_off(&self, device: usize) -> bool {
        lock(&self.devices[device]).clock_was_off
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.executor
            .sleep_until(self.executor.now() + duration)
            .await;
    }
}

/// How far a clock may be off and still count as right, in milliseconds.
const FAIR_CLOCK_MS: i64 = 2000;

/// Nobody may write keys that start with [`FORBIDDEN`].
#[derive(Debug)]
struct NoForbiddenKeys;

impl Policy for NoForbiddenKeys {
    fn may_write(&self, _: &Principal, op: &Op) -> Decision {
        if op.key.as_str().starts_with(FORBIDDEN) {
            return Decision::Deny("this key is not for writing".to_owned());
        }
        Decision::Allow
    }

    fn may_read(&self, _: &Principal, _: &MapName) -> Decision {
        Decision::Allow
    }
}

/// An error of the run itself.
pub(super) fn told(what: &str, error: &Error) -> String {
    format!("{what}: {error}")
}
