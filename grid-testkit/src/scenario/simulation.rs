//! What runs are made of: the parties, what they do, what may go wrong, and what must hold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::{Codec, Policy, Resolver, Transport};
use grid_server::{GatewayLayer, Settings};

use super::database::{Database, MemoryDatabase};
use super::device_store::{DeviceStore, MemoryDeviceStore};
use super::direct;
use super::fault::{Cast, FaultKind};
use super::invariant::Invariant;
use super::invariants;
use super::mixed_writes::{MixedWrites, NoForbiddenKeys};
use super::outcome::Outcome;
use super::plan::{Draw, Plan};
use super::workload::Workload;
use crate::CountingAllocator;

type Make<T> = Arc<dyn Fn() -> Box<T> + Send + Sync>;
type MakeStore = Arc<dyn Fn(usize) -> Box<dyn DeviceStore> + Send + Sync>;
type WrapTransport = Arc<dyn Fn(Arc<dyn Transport>) -> Arc<dyn Transport> + Send + Sync>;

/// The most devices of a run.
const MOST_DEVICES: usize = 1000;
/// The most servers of a run. Where there are more, a device that tries them by turns may not have
/// come to the owner of its partitions when everybody has to agree.
const MOST_SERVERS: usize = 4;
/// The longest time that tombstones may be kept if devices shall be away for longer, in
/// milliseconds: a run plays every heartbeat until they are back.
const LONGEST_RETENTION_MS: u64 = 3_600_000;
/// The longest time that a party may be down, in milliseconds.
pub(super) const LONGEST_DOWN_MS: u64 = 2 * LONGEST_RETENTION_MS;
/// By how much a device's clock is off that is far off, in milliseconds.
pub(super) const FAR_OFF_MS: u64 = 600_000;
/// How much a server may be mistaken about a device's clock, in milliseconds: a fair one may be two
/// seconds off, the server's own five seconds, and what is measured over a slow link is not exact.
const MISTAKEN_MS: u64 = 10_000;
/// How often a run's server is asked for an entry, beside the devices.
const AUDITS: usize = 24;

/// What runs are made of. One seed makes one run of it.
///
/// ```
/// use grid_testkit::scenario::{FaultKind, Simulation};
///
/// let simulation = Simulation::new("flaky links only")
///     .devices(2)
///     .ops_per_device(5)
///     .always([FaultKind::Links])
///     .faults(0, []);
/// let (one, same) = (simulation.run(7), simulation.run(7));
/// assert_eq!(one.failure, None);
/// assert_eq!(one.trace_hash, same.trace_hash);
/// ```
#[derive(Clone)]
pub struct Simulation {
    pub(super) name: String,
    pub(super) devices: usize,
    pub(super) servers: usize,
    pub(super) ops: u32,
    pub(super) fault_phase: Duration,
    pub(super) faults: usize,
    pub(super) always: Vec<FaultKind>,
    pub(super) kinds: Vec<(FaultKind, u32)>,
    pub(super) settings: Settings,
    pub(super) workload: Arc<dyn Workload>,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) resolver: Option<Arc<dyn Resolver>>,
    pub(super) codecs: Vec<Arc<dyn Codec>>,
    pub(super) layers: Vec<GatewayLayer>,
    pub(super) store: MakeStore,
    pub(super) database: Make<dyn Database>,
    pub(super) transport: WrapTransport,
    pub(super) invariants: Vec<Make<dyn Invariant>>,
    pub(super) rhythm: Duration,
    pub(super) memory: Option<usize>,
    #[cfg(feature = "mutations")]
    pub(super) mutation: Option<grid_core::mutation::Mutation>,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("name", &self.name)
            .field("devices", &self.devices)
            .field("servers", &self.servers)
            .field("ops", &self.ops)
            .field("workload", &self.workload)
            .finish_non_exhaustive()
    }
}

impl Simulation {
    /// Three devices and a server; each device's user performs 35 operations of [`MixedWrites`]
    /// within twelve simulated seconds, under every fault that takes nothing from what is promised.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            devices: 3,
            servers: 1,
            ops: 35,
            fault_phase: Duration::from_secs(12),
            faults: 6,
            always: vec![FaultKind::CrashServer, FaultKind::Cut],
            kinds: vec![
                (FaultKind::CrashServer, 10),
                (FaultKind::CrashDevice, 20),
                (FaultKind::Cut, 20),
                (FaultKind::Links, 20),
                (FaultKind::Heal, 15),
                (FaultKind::Clock, 10),
                (FaultKind::ServerClock, 3),
                (FaultKind::DiskFull, 4),
                (FaultKind::DiskError, 6),
                (FaultKind::StoreError, 4),
                (FaultKind::StoreSlow, 4),
                (FaultKind::DatabaseError, 4),
                (FaultKind::DatabaseSlow, 4),
                (FaultKind::ExpireToken, 8),
            ],
            settings: Settings {
                workers: 2,
                partition_count: 7,
                map_spread: 3,
                heartbeat_ms: 500,
                ..Settings::default()
            },
            workload: Arc::new(MixedWrites::default()),
            policy: Arc::new(NoForbiddenKeys),
            resolver: None,
            codecs: Vec::new(),
            layers: Vec::new(),
            store: Arc::new(|_| Box::new(MemoryDeviceStore::new())),
            database: Arc::new(|| Box::new(MemoryDatabase::new())),
            transport: Arc::new(|transport| transport),
            invariants: invariants::all(),
            rhythm: Duration::from_millis(1),
            memory: None,
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// Its name, for failures.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many devices there are: 1 to 1000.
    #[must_use]
    pub fn devices(mut self, devices: usize) -> Self {
        self.devices = devices;
        self
    }

    /// How many servers there are: 1 to 4. Several share a journal, a table of owners and a
    /// database; the devices are spread over them.
    #[must_use]
    pub fn servers(mut self, servers: usize) -> Self {
        self.servers = servers;
        self
    }

    /// How many operations each device's user performs.
    #[must_use]
    pub fn ops_per_device(mut self, ops: u32) -> Self {
        self.ops = ops;
        self
    }

    /// How long things go wrong, and users work, in simulated time.
    #[must_use]
    pub fn fault_phase(mut self, span: Duration) -> Self {
        self.fault_phase = span;
        self
    }

    /// Faults that happen in every run: unless set, one crash of a server and one cut.
    #[must_use]
    pub fn always(mut self, kinds: impl IntoIterator<Item = FaultKind>) -> Self {
        self.always = kinds.into_iter().collect();
        self
    }

    /// How many faults there are at least (at most twice as many happen), and the kinds from which
    /// they are drawn, each with its weight.
    #[must_use]
    pub fn faults(
        mut self,
        least: usize,
        kinds: impl IntoIterator<Item = (FaultKind, u32)>,
    ) -> Self {
        self.faults = least;
        self.kinds = kinds.into_iter().collect();
        self
    }

    /// Whether servers tell clocks that are far off from those that are right. Where less drift is
    /// allowed, they stamp anew what a right clock has stamped; where more is, the stamps of a fast
    /// one stand, and pull the clocks of all others along.
    pub(super) fn restamps_tell(&self) -> bool {
        let telling = MISTAKEN_MS..FAR_OFF_MS - MISTAKEN_MS;
        telling.contains(&self.settings.allowed_drift_ms)
    }

    /// Changes the servers' settings.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// What the users do.
    #[must_use]
    pub fn workload(mut self, workload: impl Workload) -> Self {
        self.workload = Arc::new(workload);
        self
    }

    /// The servers' rules on reads and writes.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// The merge rule of all maps.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// A codec that clients and servers prefer to those added later, and to CBOR.
    #[must_use]
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codecs.push(Arc::new(codec));
        self
    }

    /// A layer of one's own in the servers' pipeline; the first one added sees requests first.
    #[must_use]
    pub fn layer(mut self, layer: GatewayLayer) -> Self {
        self.layers.push(layer);
        self
    }

    /// The stores of the devices; `make` is called once for each device of each run.
    #[must_use]
    pub fn store(
        mut self,
        make: impl Fn(usize) -> Box<dyn DeviceStore> + Send + Sync + 'static,
    ) -> Self {
        self.store = Arc::new(make);
        self
    }

    /// The servers' system of record; `make` is called once for each run.
    #[must_use]
    pub fn database(
        mut self,
        make: impl Fn() -> Box<dyn Database> + Send + Sync + 'static,
    ) -> Self {
        self.database = Arc::new(make);
        self
    }

    /// Wraps the transport of each device.
    #[must_use]
    pub fn transport(
        mut self,
        wrap: impl Fn(Arc<dyn Transport>) -> Arc<dyn Transport> + Send + Sync + 'static,
    ) -> Self {
        self.transport = Arc::new(wrap);
        self
    }

    /// Something more that must hold after every step; `make` is called once for each run.
    #[must_use]
    pub fn invariant(
        mut self,
        make: impl Fn() -> Box<dyn Invariant> + Send + Sync + 'static,
    ) -> Self {
        self.invariants.push(Arc::new(make));
        self
    }

    /// Users act only at multiples of this: the longer it is, the more often several act in the
    /// same millisecond.
    #[must_use]
    pub fn rhythm(mut self, rhythm: Duration) -> Self {
        self.rhythm = rhythm;
        self
    }

    /// The most bytes that a run may hold, all parties and the simulator together. Unless set, it
    /// follows from the number of operations, which are taken to be small. Only a program that
    /// installs [`CountingAllocator`](crate::CountingAllocator) holds its runs to it.
    #[must_use]
    pub fn memory(mut self, most_bytes: usize) -> Self {
        self.memory = Some(most_bytes);
        self
    }

    /// Plants a bug in the grid itself; see [`grid_core::mutation`].
    #[cfg(feature = "mutations")]
    #[must_use]
    pub fn mutation(mut self, mutation: grid_core::mutation::Mutation) -> Self {
        self.mutation = Some(mutation);
        self
    }

    /// Whether there is somebody to play, and not more than can.
    pub(super) fn can_be_played(&self) -> Result<(), String> {
        let told = |count: usize, what: &str, most: usize| {
            if (1..=most).contains(&count) {
                return Ok(());
            }
            Err(format!(
                "the simulation has {count} {what}; it may have 1 to {most}"
            ))
        };
        told(self.devices, "devices", MOST_DEVICES)?;
        told(self.servers, "servers", MOST_SERVERS)?;
        let drawn = self.kinds.iter().map(|(kind, _)| kind);
        let mut drawn = self.always.iter().chain(drawn);
        if drawn.any(|kind| *kind == FaultKind::LongAbsence) {
            self.plays_absences()?;
        }
        Ok(())
    }

    /// Whether a device can be away for longer than tombstones are kept.
    fn plays_absences(&self) -> Result<(), String> {
        let retention_ms = self.settings.retention_ms;
        if retention_ms <= LONGEST_RETENTION_MS {
            return Ok(());
        }
        Err(format!(
            "LongAbsence outlasts `retention_ms`, which is {retention_ms}: with `settings`, set it to \
             {LONGEST_RETENTION_MS} at most, so that a run can play it"
        ))
    }

    /// The plan of a seed.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        let span = self.fault_phase.as_millis();
        let draw = Draw {
            cast: Cast {
                devices: self.devices,
                servers: self.servers,
                retention_ms: self.settings.retention_ms,
            },
            ops: self.ops,
            faults: self.faults,
            always: &self.always,
            kinds: &self.kinds,
            span_ms: u64::try_from(span).unwrap_or(u64::MAX),
            // What a server is asked while another one owns the entry may be older: no promise.
            audits: if self.servers == 1 { AUDITS } else { 0 },
        };
        Plan::draw(seed, &draw)
    }

    /// Runs a seed.
    #[must_use]
    pub fn run(&self, seed: u64) -> Outcome {
        self.run_plan(seed, &self.plan(seed))
    }

    /// Runs a plan of a seed: as it was drawn, or what is left of it.
    #[must_use]
    pub fn run_plan(&self, seed: u64, plan: &Plan) -> Outcome {
        direct::run(self, seed, plan, false)
    }

    /// As [`Simulation::run_plan`], and keeps everything that happens.
    #[must_use]
    pub fn record(&self, seed: u64, plan: &Plan) -> Outcome {
        let outcome = direct::run(self, seed, plan, true);
        if outcome.failure.is_some() || !CountingAllocator::is_installed() {
            return outcome;
        }
        // What a run holds is judged without what is kept of it.
        Outcome {
            failure: direct::run(self, seed, plan, false).failure,
            ..outcome
        }
    }
}
