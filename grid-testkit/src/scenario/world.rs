//! The stage of a run: servers with their disks and their database, devices with their stores, and
//! the network between them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grid_client::{Grid, GridBuilder, Map};
use grid_core::codec::CborCodec;
use grid_core::protocol::read_frame;
use grid_core::traits::{Codec, CodecLimits, Runtime};

use super::by_turns::ByTurns;
use super::database::Database;
use super::database_trouble::DatabaseTrouble;
use super::devices::DeviceSide;
use super::event::{Event, EventLog, TimedEvent};
use super::ledger::Ledger;
use super::medium::{Medium, Power};
use super::owners::{Owners, node_name};
use super::recording::Recording;
use super::server_side::{NotStarted, ServerSide, Shared, Start, WayToShared};
use super::shared_journal::{AppendFaults, SharedJournal};
use super::simulation::Simulation;
use super::storage::SimStorage;
use super::tokens::Tokens;
use crate::ModelDisk;
use crate::sim::{
    Executor, FrameFate, FrameSeen, FrameWatch, NOBODY, Network, PartyId, SimRuntime, Stream,
    WORLD_BEGINS_MS,
};

/// The party of the run itself, which never crashes.
pub const DIRECTOR: PartyId = PartyId(u16::MAX - 1);
/// The database that the servers share.
pub const DATABASE: PartyId = PartyId(u16::MAX - 2);
/// The first party that is a device; those before are servers.
pub(super) const FIRST_DEVICE: u16 = 16;
/// How far a clock may be off and still count as right, in milliseconds.
const FAIR_CLOCK_MS: i64 = 2000;

/// The party of a server.
#[must_use]
pub fn server_party(server: usize) -> PartyId {
    PartyId(u16::try_from(server).unwrap_or(FIRST_DEVICE - 1))
}

/// The party of a device.
#[must_use]
pub fn device_party(device: usize) -> PartyId {
    PartyId(FIRST_DEVICE + u16::try_from(device).unwrap_or(u16::MAX / 2))
}

/// What a party is called: `server 0`, `device 2`, `database`.
#[must_use]
pub fn name_of(party: PartyId) -> String {
    match party {
        DIRECTOR => "director".to_owned(),
        DATABASE => "database".to_owned(),
        NOBODY => "nobody".to_owned(),
        PartyId(number) => match number.checked_sub(FIRST_DEVICE) {
            Some(device) => format!("device {device}"),
            None => format!("server {number}"),
        },
    }
}

fn url(server: usize) -> String {
    format!("sim://server-{server}")
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A crash that waits for its input or output.
#[derive(Debug, Clone, Copy)]
struct Doomed {
    party: PartyId,
    silent: bool,
    down_ms: u64,
}

/// The crashes that wait, each with the input and output that still passes before it.
#[derive(Debug, Default)]
struct Fuses(Mutex<Vec<(Doomed, AtomicU32)>>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) simulation: Simulation,
    pub(super) executor: Executor,
    pub(super) network: Network,
    pub(super) tokens: Tokens,
    pub(super) ledger: Ledger,
    servers: Vec<Mutex<ServerSide>>,
    shared: Option<Shared>,
    pub(super) database: Mutex<Box<dyn Database>>,
    pub(super) database_trouble: DatabaseTrouble,
    devices: Vec<Mutex<DeviceSide>>,
    fuses: Arc<Fuses>,
    /// Parties whose power went in the middle of input or output, and that are not yet seen to.
    fallen: Arc<Mutex<Vec<Doomed>>>,
    events: EventLog,
    pub(super) recording: Mutex<Recording>,
    failure: Mutex<Option<String>>,
}

/// One world. Clones are one and the same.
#[derive(Debug, Clone)]
pub(super) struct World(Arc<Inner>);

impl std::ops::Deref for World {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Cuts the power of parties in the middle of their input and output.
#[derive(Debug)]
struct FusedPower {
    executor: Executor,
    fuses: Arc<Fuses>,
    fallen: Arc<Mutex<Vec<Doomed>>>,
}

impl Power for FusedPower {
    fn goes(&self, party: PartyId) -> bool {
        let mut fuses = lock(&self.fuses.0);
        let blown = fuses.iter().position(|(doomed, left)| {
            doomed.party == party && left.fetch_sub(1, Ordering::Relaxed) <= 1
        });
        let Some(blown) = blown else { return false };
        let (doomed, _) = fuses.swap_remove(blown);
        drop(fuses);
        // Nothing of the party runs from here on; the rest is done between two steps.
        self.executor.crash(party);
        lock(&self.fallen).push(doomed);
        true
    }
}

impl World {
    pub(super) fn new(simulation: &Simulation, seed: u64, order: u64) -> Self {
        let executor = Executor::with_order(seed, order);
        let events = EventLog::new(&executor);
        let (fuses, fallen): (Arc<Fuses>, Arc<Mutex<Vec<Doomed>>>) = Default::default();
        let medium = |party| {
            let power = FusedPower {
                executor: executor.clone(),
                fuses: fuses.clone(),
                fallen: fallen.clone(),
            };
            Medium::new(&executor, party, Arc::new(power))
        };
        let servers = (0..simulation.servers).map(|server| {
            let party = server_party(server);
            let disk = ModelDisk::new(executor.random(Stream::Device(party)));
            Mutex::new(ServerSide {
                disk,
                disk_medium: medium(party),
                database_medium: medium(party),
                append_faults: AppendFaults::default(),
                running: None,
                backup: None,
                put_back: false,
                ordered: false,
            })
        });
        let devices = (0..simulation.devices).map(|device| {
            Mutex::new(DeviceSide {
                store: (simulation.store)(device),
                medium: medium(device_party(device)),
                grid: None,
                maps: Vec::new(),
                begun: 0,
                busy: None,
                clock_was_off: false,
                clock_was_fast: false,
            })
        });
        Self(Arc::new(Inner {
            network: Network::watched(&executor, watch(&events, simulation)),
            tokens: Tokens::new(simulation.devices),
            ledger: Ledger::default(),
            servers: servers.collect(),
            shared: (simulation.servers > 1).then(Shared::default),
            database: Mutex::new((simulation.database)()),
            database_trouble: DatabaseTrouble::new(simulation.settings.partition_count),
            devices: devices.collect(),
            fuses,
            fallen,
            events,
            recording: Mutex::new(Recording::new(seed)),
            failure: Mutex::default(),
            simulation: simulation.clone(),
            executor,
        }))
    }

    /// Notes that something failed; the first failure is what the run failed of.
    pub(super) fn fail(&self, failure: impl Into<String>) {
        lock(&self.failure).get_or_insert(failure.into());
    }

    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// Notes that something happened.
    pub(super) fn emit(&self, event: Event) {
        self.events.emit(event);
    }

    /// The table of owners, where there are several servers.
    pub(super) fn owners(&self) -> Option<Owners> {
        self.shared.as_ref().map(|shared| shared.owners.clone())
    }

    /// What happened since the last call.
    pub(super) fn take_events(&self) -> Vec<TimedEvent> {
        self.events.take()
    }

    /// The true wall clock at `now`, in milliseconds since 1970.
    pub(super) fn true_ms(&self, now: Duration) -> u64 {
        WORLD_BEGINS_MS + u64::try_from(now.as_millis()).unwrap_or(u64::MAX / 2)
    }

    pub(super) fn runtime(&self, party: PartyId) -> SimRuntime {
        SimRuntime::new(&self.executor, party)
    }

    pub(super) fn server_count(&self) -> usize {
        self.servers.len()
    }

    pub(super) fn device_count(&self) -> usize {
        self.devices.len()
    }

    /// What is under a server; none if there is no such server.
    pub(super) fn with_server<T>(
        &self,
        server: usize,
        with: impl FnOnce(&mut ServerSide) -> T,
    ) -> Option<T> {
        self.servers.get(server).map(|side| with(&mut lock(side)))
    }

    /// What is under a device; none if there is no such device.
    pub(super) fn with_device<T>(
        &self,
        device: usize,
        with: impl FnOnce(&mut DeviceSide) -> T,
    ) -> Option<T> {
        self.devices.get(device).map(|side| with(&mut lock(side)))
    }

    /// Starts a server on what is left of its disk and of the database.
    pub(super) async fn start_server(&self, server: usize) -> Result<(), NotStarted> {
        let candidates = self.candidates(server).await?;
        let party = server_party(server);
        let listener = self.network.transport(party).listen(&url(server)).await;
        let listener = listener.map_err(|error| error.to_string())?;
        let start = self.with_server(server, |side| Start {
            name: node_name(server),
            runtime: Arc::new(self.runtime(party)),
            listener,
            disk: side.disk.clone(),
            disk_medium: side.disk_medium.clone(),
            database_medium: side.database_medium.clone(),
            database_trouble: self.database_trouble.clone(),
            shared: self.shared.as_ref().map(|shared| WayToShared {
                journal: SharedJournal {
                    inner: shared.journal.clone(),
                    medium: side.disk_medium.clone(),
                    server: party,
                    faults: side.append_faults.clone(),
                    events: self.events.clone(),
                },
                ownership: shared.owners.seen_by(server),
            }),
            tokens: self.tokens.clone(),
            events: self.events.clone(),
            new_history: side.ordered,
        });
        let start = start.ok_or_else(|| "there is no such server".to_owned())?;
        let running = start.run(&self.simulation, &self.database).await?;
        if let Some(candidates) = candidates {
            self.is_back(server, candidates, &running);
        }
        self.with_server(server, |side| side.running = Some(running));
        self.emit(Event::Up(party));
        Ok(())
    }

    /// Cuts a server's power.
    pub(super) fn crash_server(&self, server: usize, silent: bool) {
        let party = server_party(server);
        self.forget_fuses(party);
        self.network.crash(party, silent);
        self.executor.crash(party);
        let gone = self.with_server(server, |side| {
            side.disk.crash();
            side.running.take()
        });
        drop(gone);
        self.emit(Event::Down(party));
    }

    /// Opens a device on what its store holds, with a token.
    pub(super) async fn start_device(&self, device: usize, token: &str) -> Result<Grid, String> {
        let party = device_party(device);
        let runtime = self.runtime(party);
        let opened = self.with_device(device, |side| {
            let store = side.store.open(&runtime, &side.medium)?;
            Ok::<_, String>(SimStorage::new(store, side.medium.clone()))
        });
        let store = opened.ok_or("there is no such device")??;
        let mut transport = self.network.transport(party);
        // Devices of a run with several servers live near different ones.
        if self.server_count() > 1 {
            let urls = (0..self.server_count()).map(url).collect();
            transport = Arc::new(ByTurns::new(transport, urls, device));
        }
        let mut builder = GridBuilder::new()
            .runtime(Arc::new(runtime))
            .storage_backend(Arc::new(store))
            .transport((self.simulation.transport)(transport))
            .token(token)
            .server(url(0));
        for codec in &self.simulation.codecs {
            builder = builder.codec(codec.clone());
        }
        let grid = builder.open().await.map_err(|error| error.to_string())?;
        self.with_device(device, |side| side.grid = Some(grid.clone()));
        self.emit(Event::Up(party));
        Ok(grid)
    }

    /// Cuts a device's power.
    pub(super) fn crash_device(&self, device: usize, silent: bool) {
        let party = device_party(device);
        self.forget_fuses(party);
        self.network.crash(party, silent);
        self.executor.crash(party);
        let gone = self.with_device(device, |side| {
            side.store.power_cut();
            side.busy = None;
            (side.grid.take(), std::mem::take(&mut side.maps))
        });
        drop(gone);
        self.emit(Event::Down(party));
    }

    /// Cuts the power of `party` in the middle of one of its next inputs or outputs.
    pub(super) fn crash_at_io(&self, party: PartyId, after_io: u32, silent: bool, down_ms: u64) {
        let doomed = Doomed {
            party,
            silent,
            down_ms,
        };
        lock(&self.fuses.0).push((doomed, AtomicU32::new(after_io)));
    }

    fn forget_fuses(&self, party: PartyId) {
        lock(&self.fuses.0).retain(|(doomed, _)| doomed.party != party);
    }

    /// Takes the power cuts that still wait: whose, whether silently, and for how long.
    pub(super) fn take_fuses(&self) -> Vec<(PartyId, bool, u64)> {
        let fuses = std::mem::take(&mut *lock(&self.fuses.0));
        let parts = fuses.into_iter();
        parts
            .map(|(doomed, _)| (doomed.party, doomed.silent, doomed.down_ms))
            .collect()
    }

    /// The parties whose power went in the middle of something: server or device, whether
    /// silently, and for how long.
    pub(super) fn take_fallen(&self) -> Vec<(PartyId, bool, u64)> {
        let fallen = std::mem::take(&mut *lock(&self.fallen));
        let parts = fallen.into_iter();
        parts
            .map(|doomed| (doomed.party, doomed.silent, doomed.down_ms))
            .collect()
    }

    /// The way into a server that is up.
    pub(super) fn server_handle(&self, server: usize) -> Option<grid_server::Handle> {
        self.with_server(server, |side| {
            side.running.as_ref().map(grid_server::Server::handle)
        })?
    }

    /// The operator's way into a server that is up.
    pub(super) fn server_admin(&self, server: usize) -> Option<grid_server::Admin> {
        self.with_server(server, |side| {
            side.running.as_ref().map(grid_server::Server::admin)
        })?
    }

    /// The grid of a device that is up.
    pub(super) fn grid(&self, device: usize) -> Option<Grid> {
        self.with_device(device, |side| side.grid.clone())?
    }

    /// The device that is this party.
    pub(super) fn device_of(&self, party: PartyId) -> Option<usize> {
        (0..self.devices.len()).find(|device| device_party(*device) == party)
    }

    /// A map of a device that is up.
    pub(super) fn with_map<T>(
        &self,
        device: usize,
        name: &str,
        with: impl FnOnce(&Map<ciborium::Value>) -> T,
    ) -> Option<T> {
        self.with_device(device, |side| {
            let mut maps = side.maps.iter();
            maps.find(|map| map.name().as_str() == name).map(with)
        })?
    }

    pub(super) fn set_clock(&self, device: usize, offset_ms: i64, drift_ppm: i64) {
        let party = device_party(device);
        self.executor.set_clock(party, offset_ms, drift_ppm);
        self.with_device(device, |side| {
            side.clock_was_off |= offset_ms.abs() > FAIR_CLOCK_MS;
            side.clock_was_fast |= offset_ms > FAIR_CLOCK_MS;
        });
    }

    /// Whether a device's clock was ever far off, or servers may have taken it for that.
    pub(super) fn clock_was_off(&self, device: usize) -> bool {
        let was_off = self.with_device(device, |side| side.clock_was_off);
        was_off.unwrap_or_default() || !self.simulation.restamps_tell()
    }

    /// Whether a device's clock was ever far ahead, or servers may have taken it for that.
    pub(super) fn clock_was_fast(&self, device: usize) -> bool {
        let was_fast = self.with_device(device, |side| side.clock_was_fast);
        was_fast.unwrap_or_default() || !self.simulation.restamps_tell()
    }

    /// A device's wall clock, in milliseconds since 1970.
    pub(super) fn device_ms(&self, device: usize) -> u64 {
        self.runtime(device_party(device)).now_ms()
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        let due = self.executor.now() + duration;
        self.executor.sleep_until(due).await;
    }
}

/// Notes frames, with the messages in them.
fn watch(events: &EventLog, simulation: &Simulation) -> FrameWatch {
    let (events, codecs) = (events.clone(), simulation.codecs.clone());
    FrameWatch::new(move |seen| {
        let message = match seen.fate {
            FrameFate::Sent | FrameFate::Delivered => decode(seen, &codecs).map(Arc::new),
            _ => None,
        };
        events.emit(Event::Frame {
            from: seen.from,
            to: seen.to,
            link: seen.link,
            fate: seen.fate,
            bytes: seen.frame.len(),
            message,
        });
    })
}

fn decode(seen: &FrameSeen<'_>, codecs: &[Arc<dyn Codec>]) -> Option<grid_core::protocol::Message> {
    let limits = CodecLimits::default();
    if let Ok(message) = read_frame(&CborCodec, seen.frame.clone(), &limits) {
        return Some(message);
    }
    let mut others = codecs.iter();
    others.find_map(|codec| read_frame(&**codec, seen.frame.clone(), &limits).ok())
}
