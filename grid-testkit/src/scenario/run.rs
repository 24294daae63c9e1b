//! One run: devices write while faults happen, then everything heals and must agree.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use grid_client::{Fate, Grid, Map, NotAcked, WriteHandle};
use grid_core::traits::Runtime;
use grid_core::{Key, MapAddress, MapName, Namespace};

use super::ledger::{Entry, FinalState, Ledger, Told};
use super::plan::{Fault, Plan};
use super::world::{DIRECTOR, FORBIDDEN, World, party, told};

/// The size of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Devices.
    pub devices: usize,
    /// Writes of each device.
    pub writes: usize,
    /// Least number of faults; at most twice as many happen.
    pub faults: usize,
    /// Whether the server's disk forgets to sync: a planted fault that a run must find.
    pub forget_sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            devices: 3,
            writes: 35,
            faults: 6,
            forget_sync: false,
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The run's seed.
    pub seed: u64,
    /// What went wrong, and when.
    pub plan: Plan,
    /// The hash of everything that happened.
    pub trace_hash: u64,
    /// Polls of tasks and timers.
    pub steps: u64,
    /// Writes that devices began.
    pub ops: usize,
    /// Crashes of server and devices.
    pub crashes: usize,
    /// What did not hold, if something did not.
    pub failure: Option<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => write!(
                f,
                "seed {}: {} steps, {} ops",
                self.seed, self.steps, self.ops
            ),
            Some(failure) => write!(
                f,
                "seed {}: {failure}\nwhat went wrong in the run:\n{}replay it with GRID_SIM_SEED={}",
                self.seed, self.plan, self.seed
            ),
        }
    }
}

const MAPS: [&str; 2] = ["lists", "notes-2"];
/// Few keys, so that devices meet on them.
const KEYS: u64 = 12;
/// How long faults go on.
const FAULT_PHASE: Duration = Duration::from_secs(12);
/// How long a connection that lost frames may go unnoticed: several heartbeats.
const NOTICED_AFTER: Duration = Duration::from_secs(5);
/// How long everything may take to agree once all faults have ended.
const HEAL_PHASE: Duration = Duration::from_secs(120);
/// A run that takes more steps has a loop that does not end.
const MAX_STEPS: u64 = 3_000_000;

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Outcome {
    let world = World::new(seed, options.devices);
    let plan = Plan::draw(
        &world.executor,
        options.devices,
        options.faults,
        FAULT_PHASE,
    );
    world.disk().ignore_sync(options.forget_sync);
    let ledger = Ledger::default();
    let stage = (world.clone(), plan.clone(), ledger.clone(), *options);
    let result = world.executor.block_on(DIRECTOR, MAX_STEPS, async move {
        let (world, plan, ledger, options) = stage;
        direct(&world, &plan, &ledger, &options).await
    });
    let crashes = plan.faults.iter().filter(|(_, fault)| {
        matches!(fault, Fault::CrashServer { .. } | Fault::CrashDevice { .. })
    });
    let outcome = Outcome {
        seed,
        trace_hash: world.executor.trace_hash(),
        steps: world.executor.steps(),
        ops: ledger.len(),
        crashes: crashes.count(),
        plan: plan.clone(),
        failure: result.err(),
    };
    // Whatever still waits for something that holds it is let go.
    world.crash_server(true);
    (0..options.devices).for_each(|device| world.crash_device(device));
    outcome
}

async fn direct(
    world: &World,
    plan: &Plan,
    ledger: &Ledger,
    options: &Options,
) -> Result<(), String> {
    world
        .start_server()
        .await
        .map_err(|error| told("start server", &error))?;
    for device in 0..options.devices {
        wake_device(world, device, ledger, options.writes).await?;
    }
    for (at, fault) in &plan.faults {
        world.executor.sleep_until(*at).await;
        inflict(world, *fault, ledger, options.writes);
    }
    world.executor.sleep_until(FAULT_PHASE).await;
    // Whoever is still down comes back within the longest time that a plan says.
    world.sleep(Duration::from_secs(3)).await;
    world.network.heal();
    // A connection that lost frames without breaking is noticed by the next signs of life.
    world.sleep(NOTICED_AFTER).await;
    if let Some(failure) = world.failure() {
        return Err(failure);
    }
    if !world.server_is_up() {
        return Err("the server did not come back".to_owned());
    }
    agree(world, ledger, options).await
}

/// Makes a fault happen; what takes time goes on in the background.
fn inflict(world: &World, fault: Fault, ledger: &Ledger, writes: usize) {
    match fault {
        Fault::Cut { device, up, down } => {
            if up {
                world.network.cut(party(device), super::world::SERVER);
            }
            if down {
                world.network.cut(super::world::SERVER, party(device));
            }
        }
        Fault::Heal => world.network.heal(),
        Fault::Links(faults) => world.network.set_faults(faults),
        Fault::Clock { device, offset_ms } => world.set_clock(device, offset_ms),
        Fault::CrashServer { silent, down_ms } => {
            // A server that is down or just starting loses its power again.
            world.crash_server(silent);
            let back = world.clone();
            world.executor.spawn(
                super::world::SERVER,
                "power comes back",
                Box::pin(async move {
                    back.sleep(Duration::from_millis(down_ms)).await;
                    if let Err(error) = back.start_server().await {
                        back.fail(told("the server does not start after a crash", &error));
                    }
                }),
            );
        }
        Fault::CrashDevice { device, down_ms } => {
            world.crash_device(device);
            let (back, ledger) = (world.clone(), ledger.clone());
            world.executor.spawn(
                party(device),
                "power comes back",
                Box::pin(async move {
                    back.sleep(Duration::from_millis(down_ms)).await;
                    if let Err(error) = wake_device(&back, device, &ledger, writes).await {
                        back.fail(format!(
                            "device {device} does not open after a crash: {error}"
                        ));
                    }
                }),
            );
        }
    }
}

/// Opens a device, and lets its user go on writing.
async fn wake_device(
    world: &World,
    device: usize,
    ledger: &Ledger,
    writes: usize,
) -> Result<(), String> {
    let grid = world
        .start_device(device)
        .await
        .map_err(|error| told("open device", &error))?;
    let maps = open_maps(&grid)?;
    let (user, ledger) = (world.clone(), ledger.clone());
    world.executor.spawn(
        party(device),
        "user",
        Box::pin(async move {
            while ledger.written_by(device) < writes {
                user.sleep(Duration::from_millis(user.executor.below(500)))
                    .await;
                write(&user, device, &maps, &ledger).await;
            }
        }),
    );
    Ok(())
}

fn open_maps(grid: &Grid) -> Result<Vec<Map<u64>>, String> {
    let open = |name: &&str| grid.map(name).map_err(|error| told("open map", &error));
    MAPS.iter().map(open).collect()
}

/// One write of one device's user, who waits until it is durable and goes on.
async fn write(world: &World, device: usize, maps: &[Map<u64>], ledger: &Ledger) {
    let chance = &world.executor;
    let map = &maps[usize::from(chance.chance(40))];
    let key = match chance.below(20) {
        0 => format!("{FORBIDDEN}{}", chance.below(3)),
        _ => format!("k{}/x", chance.below(KEYS)),
    };
    let removes = chance.chance(25);
    let number = ledger.begin(|number| Entry {
        device,
        map: map.name().to_string(),
        key: key.clone(),
        value: (!removes).then_some(number),
        op: None,
        told: Told::Unknown,
        from_ms: world.runtime(party(device)).now_ms(),
        fair_clock: !world.clock_was_off(device),
    });
    let written = if removes {
        map.remove(&key).await
    } else {
        map.put(&key, &number).await
    };
    let Ok(handle) = written else {
        // The grid was closed under its user; what became of the write is unknown.
        return;
    };
    ledger.durable(number, handle.op());
    let (ledger, party) = (ledger.clone(), party(device));
    world.executor.spawn(
        party,
        "await verdict",
        Box::pin(follow(handle, number, ledger)),
    );
}

async fn follow(handle: WriteHandle, number: u64, ledger: Ledger) {
    match handle.acked().await {
        Ok(Fate::Acked) => ledger.told(number, Told::Acked),
        Ok(_) => ledger.told(number, Told::Superseded),
        Err(NotAcked::Rejected(_)) => ledger.told(number, Told::Rejected),
        Err(NotAcked::Closed) => {}
    }
}

/// Waits until every device is level with the server, and checks that all hold the same.
async fn agree(world: &World, ledger: &Ledger, options: &Options) -> Result<(), String> {
    let deadline = world.executor.now() + HEAL_PHASE;
    while ledger.len() < options.devices * options.writes {
        if world.executor.now() > deadline {
            return Err("a device's user was never let go on".to_owned());
        }
        world.sleep(Duration::from_millis(100)).await;
    }
    // Twice: what one device writes reaches the others a moment after it is level itself, and a
    // connection that lost frames is noticed by the next signs of life.
    let mut states: Vec<FinalState> = Vec::new();
    for _ in 0..2 {
        states.clear();
        for device in 0..world.device_count() {
            let grid = world.grid(device).ok_or("a device did not come back")?;
            level(world, device, &grid, deadline).await?;
        }
        world.sleep(NOTICED_AFTER).await;
        for device in 0..world.device_count() {
            let grid = world.grid(device).ok_or("a device did not come back")?;
            states.push(state_of(&open_maps(&grid)?)?);
        }
    }
    let first = states.first().ok_or("there is no device")?;
    for (device, state) in states.iter().enumerate() {
        if state != first {
            return Err(format!(
                "device {device} differs: {}",
                difference(first, state)
            ));
        }
    }
    let server = server_state(world).await?;
    if server != *first {
        return Err(format!(
            "the server differs: {}",
            difference(first, &server)
        ));
    }
    ledger.check(first, FORBIDDEN)
}

async fn level(
    world: &World,
    device: usize,
    grid: &Grid,
    deadline: Duration,
) -> Result<(), String> {
    let flushed = std::pin::pin!(grid.flushed());
    let late = std::pin::pin!(world.executor.sleep_until(deadline));
    match futures::future::select(flushed, late).await {
        futures::future::Either::Left((result, _)) => result.map_err(|error| told("level", &error)),
        futures::future::Either::Right(_) => Err(format!(
            "device {device} is not level with the server {HEAL_PHASE:?} after the heal: {:?}, {:?}",
            grid.connection_state(),
            grid.status()
        )),
    }
}

fn state_of(maps: &[Map<u64>]) -> Result<FinalState, String> {
    let mut state = BTreeMap::new();
    for map in maps {
        for entry in map.iter() {
            let (key, value) = entry.map_err(|error| told("read", &error))?;
            let stamp = map
                .version(key.as_str())
                .map_err(|error| told("read", &error))?;
            state.insert((map.name().to_string(), key.to_string()), (value, stamp));
        }
    }
    Ok(state)
}

async fn server_state(world: &World) -> Result<FinalState, String> {
    let handle = world.server_handle().ok_or("the server is down")?;
    let mut state = BTreeMap::new();
    for name in MAPS {
        let map = MapName::new(name).map_err(|error| told("read server", &error))?;
        let address = MapAddress {
            namespace: Namespace::default(),
            map,
        };
        let keys = (0..KEYS).map(|key| format!("k{key}/x"));
        for key in keys.chain((0..3).map(|key| format!("{FORBIDDEN}{key}"))) {
            let key = Key::new(&key).map_err(|error| told("read server", &error))?;
            let record = handle.get(&address, &key).await;
            let Some(record) = record.map_err(|error| told("read server", &error))? else {
                continue;
            };
            let Some(value) = record.value else { continue };
            let value = ciborium::from_reader(&*value).map_err(|error| error.to_string())?;
            state.insert((name.to_owned(), key.to_string()), (value, record.stamp));
        }
    }
    Ok(state)
}

fn difference(left: &FinalState, right: &FinalState) -> String {
    let keys = left.keys().chain(right.keys());
    let differs = keys.filter(|key| left.get(*key) != right.get(*key)).take(3);
    let lines: Vec<String> = differs
        .map(|key| format!("{key:?}: {:?} and {:?}", left.get(key), right.get(key)))
        .collect();
    lines.join("; ")
}
