//! The end of a run: all parties must hold the same, and it must follow from what was told.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{Either, select};
use grid_client::Grid;
use grid_core::{Key, MapAddress, MapName, Namespace};

use super::database_check::database_agrees;
use super::direct::NOTICED_AFTER;
use super::fault::Fault;
use super::ledger::{FinalState, Versioned, shown};
use super::merge_rule;
use super::plan::TimedFault;
use super::recording::Promises;
use super::users::Cast;
use super::world::{World, device_party, lock, name_of};

/// How long everything may take to agree once all faults have ended.
const HEAL_PHASE: Duration = Duration::from_secs(120);

/// Waits until every device is level with the servers, and checks that all hold the same.
pub(super) async fn agree(cast: &Cast) -> Result<(), String> {
    let world = &cast.world;
    if cast.devices().next().is_none() {
        // Nothing was set up: there is nothing that could follow from it.
        return Ok(());
    }
    let deadline = world.executor.now() + HEAL_PHASE;
    while let Some(undone) = cast.undone() {
        if world.executor.now() > deadline {
            return Err(format!("{undone} {HEAL_PHASE:?} after the heal"));
        }
        world.sleep(Duration::from_millis(100)).await;
    }
    // Twice: what one device writes reaches the others a moment after it is level itself, and a
    // connection that lost frames is noticed by the next signs of life.
    for _ in 0..2 {
        for device in cast.devices() {
            let grid = grid_of(world, device)?;
            level(world, device, &grid, deadline).await?;
        }
        world.sleep(NOTICED_AFTER).await;
    }
    let maps = world.simulation.workload.maps();
    let ends = |party: &str, state: &FinalState| {
        let now = world.executor.now();
        lock(&world.recording).ends(now, party, &maps, state);
    };
    let mut first: Option<(usize, FinalState)> = None;
    for device in cast.devices() {
        let state = device_state(world, &grid_of(world, device)?)?;
        ends(&name_of(device_party(device)), &state);
        match &first {
            None => first = Some((device, state)),
            Some((one, expected)) if *expected != state => {
                let difference = difference(expected, &state);
                return Err(format!("devices {one} and {device} differ: {difference}"));
            }
            Some(_) => {}
        }
    }
    let state = first.map(|(_, state)| state).unwrap_or_default();
    let server = server_state(world, &state).await?;
    ends("servers", &server);
    if server != state {
        let difference = difference(&state, &server);
        return Err(format!("devices and server differ: {difference}"));
    }
    database_agrees(world, &server, deadline).await?;
    let retention = Duration::from_millis(world.simulation.settings.retention_ms);
    let jumps = |fault: &TimedFault| matches!(fault.fault, Fault::ServerClock { .. });
    let steady = !cast.plan.faults.iter().any(jumps);
    let forgets = world.executor.now() > retention;
    match &world.simulation.resolver {
        None => world.ledger.check(&state, forgets, steady)?,
        Some(rule) => merge_rule::check(&world.ledger, &**rule, &state)?,
    }
    let promises = Promises {
        forgets,
        merges: world.simulation.resolver.is_some(),
    };
    // The checkers know of no time that is taken back; the ledger does.
    if !cast.restores_backups() {
        lock(&world.recording).check(world.executor.now(), promises, &world.ledger)?;
    }
    world.simulation.workload.check(&state)
}

fn grid_of(world: &World, device: usize) -> Result<Grid, String> {
    world
        .grid(device)
        .ok_or_else(|| format!("device {device} did not come back"))
}

async fn level(
    world: &World,
    device: usize,
    grid: &Grid,
    deadline: Duration,
) -> Result<(), String> {
    let flushed = std::pin::pin!(grid.flushed());
    let late = std::pin::pin!(world.executor.sleep_until(deadline));
    match select(flushed, late).await {
        Either::Left((result, _)) => {
            result.map_err(|error| format!("device {device} cannot be level: {error}"))
        }
        Either::Right(_) => Err(format!(
            "device {device} is not level with the server {HEAL_PHASE:?} after the heal: {:?}, {:?}",
            grid.connection_state(),
            grid.status()
        )),
    }
}

fn device_state(world: &World, grid: &Grid) -> Result<FinalState, String> {
    let mut state = BTreeMap::new();
    for name in world.simulation.workload.maps() {
        let told = |error: grid_core::Error| format!("read {name}: {error}");
        let map = grid.map::<ciborium::Value>(&name).map_err(told)?;
        for (key, value) in map.entries() {
            let stamp = map.version(key.as_str()).map_err(told)?;
            state.insert((name.clone(), key.to_string()), Versioned { value, stamp });
        }
    }
    Ok(state)
}

/// What the servers hold of the keys that were written or are seen by devices.
async fn server_state(world: &World, seen: &FinalState) -> Result<FinalState, String> {
    let mut keys = world.ledger.keys();
    keys.extend(seen.keys().cloned());
    keys.sort();
    keys.dedup();
    let mut state = BTreeMap::new();
    for (map, key) in keys {
        let told = |error: grid_core::Error| format!("read server's {map}/{key}: {error}");
        let address = MapAddress {
            namespace: Namespace::default(),
            map: MapName::new(map.as_str()).map_err(told)?,
        };
        let name = Key::new(&key).map_err(told)?;
        let mut answer = Err("no server is up".to_owned());
        for server in 0..world.server_count() {
            if let Some(handle) = world.server_handle(server) {
                answer = handle.get(&address, &name).await.map_err(told);
            }
            if answer.is_ok() {
                break;
            }
        }
        let Some(record) = answer? else { continue };
        if let Some(value) = record.value {
            let stamp = record.stamp;
            state.insert((map, key), Versioned { value, stamp });
        }
    }
    Ok(state)
}

fn difference(left: &FinalState, right: &FinalState) -> String {
    let keys = left.keys().chain(right.keys());
    let differs = keys.filter(|key| left.get(*key) != right.get(*key)).take(3);
    let show = |found: Option<&Versioned>| match found {
        Some(found) => format!("{} at {}", shown(&found.value), found.stamp),
        None => "nothing".to_owned(),
    };
    let lines: Vec<String> = differs
        .map(|key| {
            let (map, name) = key;
            format!(
                "{map}/{name}: {} and {}",
                show(left.get(key)),
                show(right.get(key))
            )
        })
        .collect();
    lines.join("; ")
}
