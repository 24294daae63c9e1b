//! The users of the devices: they perform the plan's operations, each at its time.

use std::sync::Arc;
use std::time::Duration;

use grid_client::Grid;

use super::device::{Device, Turn};
use super::devices::DeviceSide;
use super::fault::Fault;
use super::plan::{Plan, TimedFault};
use super::world::{World, device_party};
use crate::sim::{Executor, Stream};

/// A world and what shall happen in it.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    pub(super) world: World,
    pub(super) plan: Arc<Plan>,
}

/// An operation with its time.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Duration,
    number: u32,
}

impl Cast {
    pub(super) fn new(world: &World, plan: &Plan) -> Self {
        Self {
            world: world.clone(),
            plan: Arc::new(plan.clone()),
        }
    }

    /// The devices that take part.
    pub(super) fn devices(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.world.device_count();
        let devices: Vec<usize> = self.plan.ops.keys().copied().collect();
        devices.into_iter().filter(move |device| *device < count)
    }

    /// A device that is up.
    pub(super) fn device(&self, number: usize) -> Option<Device> {
        Some(Device {
            world: self.world.clone(),
            number,
            grid: self.world.grid(number)?,
        })
    }

    /// The longest time for which anybody is down.
    pub(super) fn longest_absence(&self) -> Duration {
        let down_ms = self.plan.faults.iter().map(|timed| timed.fault.down_ms());
        Duration::from_millis(down_ms.max().unwrap_or(0))
    }

    /// Whether a server is put back to a backup.
    pub(super) fn restores_backups(&self) -> bool {
        let restores = |fault: &TimedFault| matches!(fault.fault, Fault::RestoreBackup { .. });
        self.plan.faults.iter().any(restores)
    }

    /// What the user of a device does, in order of time.
    fn operations(&self, device: usize) -> Vec<Due> {
        let span = self.world.simulation.fault_phase.as_millis();
        let span = u64::try_from(span).unwrap_or(u64::MAX);
        let rhythm = self.world.simulation.rhythm.as_millis();
        let rhythm = u64::try_from(rhythm).unwrap_or(u64::MAX).max(1);
        let numbers = self.plan.ops.get(&device).into_iter().flatten();
        let mut operations: Vec<Due> = numbers
            .map(|number| {
                let stream = Stream::Operation(device_party(device), *number);
                // A world of its own: what is drawn here leaves the operation's chances alone.
                let chance = Executor::new(self.world.executor.seed().wrapping_add(1));
                let at = chance.below(stream, span) / rhythm * rhythm;
                Due {
                    at: Duration::from_millis(at),
                    number: *number,
                }
            })
            .collect();
        operations.sort_by_key(|due| (due.at, due.number));
        operations
    }

    /// What a user still has to do, if one has something to do.
    pub(super) fn undone(&self) -> Option<String> {
        self.devices().find_map(|device| {
            let planned = self.plan.ops.get(&device).map_or(0, Vec::len);
            let side = |side: &mut DeviceSide| (side.begun, side.busy);
            match self.world.with_device(device, side)? {
                (_, Some(number)) => Some(format!(
                    "operation {number} of device {device} has not ended"
                )),
                (begun, None) if begun < planned => {
                    Some(format!("the user of device {device} was never let go on"))
                }
                _ => None,
            }
        })
    }
}

/// Opens a device on what its store holds, and lets its user go on. While the store fails it cannot
/// be opened; its user tries again.
pub(super) async fn wake_device(cast: &Cast, device: usize) -> Result<(), String> {
    const TRY_AGAIN_AFTER: Duration = Duration::from_millis(300);
    let world = &cast.world;
    let faults_end = world.simulation.fault_phase + Duration::from_secs(1);
    let (token, grid) = loop {
        let token = world.tokens.of(device);
        match world.start_device(device, &token).await {
            Ok(grid) => break (token, grid),
            Err(error) if world.executor.now() > faults_end => {
                return Err(format!("device {device} does not open: {error}"));
            }
            Err(_) => world.sleep(TRY_AGAIN_AFTER).await,
        }
    };
    for map in world.simulation.workload.maps() {
        let opened = grid.map::<ciborium::Value>(&map);
        let opened = opened.map_err(|error| format!("device {device} opens map {map}: {error}"))?;
        world.with_device(device, |side| side.maps.push(opened));
    }
    let party = device_party(device);
    let (user, app) = (cast.clone(), (world.clone(), grid));
    let works = async move { work(&user, device).await };
    world.executor.spawn(party, "user", Box::pin(works));
    let renews = async move { renew(&app.0, device, token, &app.1).await };
    world.executor.spawn(party, "app", Box::pin(renews));
    Ok(())
}

async fn work(cast: &Cast, device: usize) {
    let world = &cast.world;
    loop {
        let begun = world
            .with_device(device, |side| side.begun)
            .unwrap_or(usize::MAX);
        let Some(due) = cast.operations(device).get(begun).copied() else {
            return;
        };
        world.executor.sleep_until(due.at).await;
        let Some(seat) = cast.device(device) else {
            return;
        };
        world.with_device(device, |side| {
            side.begun += 1;
            side.busy = Some(due.number);
        });
        world
            .executor
            .step_taken(device_party(device), "operation", due.number.into());
        let turn = Turn {
            executor: world.executor.clone(),
            stream: Stream::Operation(device_party(device), due.number),
            number: due.number,
        };
        if let Err(seen) = world.simulation.workload.run(&seat, &turn).await {
            world.fail(format!("device {device}, operation {}: {seen}", due.number));
        }
        world.with_device(device, |side| side.busy = None);
    }
}

/// What an app does that gets tokens: it hands on each that is new to it.
async fn renew(world: &World, device: usize, mut given: String, grid: &Grid) {
    loop {
        let changed = world.tokens.changed();
        let token = world.tokens.of(device);
        if token != given {
            grid.set_token(token.as_str());
            given = token;
        }
        changed.await;
    }
}
