//! One run: users work while faults happen, then everything heals and must agree.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use grid_core::protocol::Message;

use super::agree::agree;
use super::audit::audit;
use super::database_trouble::trouble_database;
use super::event::{Event, TimedEvent};
use super::fault::Fault;
use super::invariant::{Invariant, View};
use super::memory::Memory;
use super::outcome::{Counts, Outcome};
use super::panics::caught;
use super::plan::Plan;
use super::simulation::Simulation;
use super::users::{Cast, wake_device};
use super::within::within;
use super::world::{DIRECTOR, World, device_party, lock, server_party};
use crate::model_disk::{DiskCall, Fault as DiskFault};
use crate::sim::{FrameFate, PartyId};

/// How long a connection that lost frames may go unnoticed: several heartbeats.
pub(super) const NOTICED_AFTER: Duration = Duration::from_secs(5);
/// The least time after the faults' phase for whoever is down to come back.
const BACK_AFTER: Duration = Duration::from_secs(3);
/// How long a start takes at most.
const STARTS_WITHIN: Duration = Duration::from_secs(1);
/// A run that takes more polls of tasks has a loop that does not end.
const MAX_POLLS: u64 = 3_000_000;

/// Runs a plan of a seed.
pub(super) fn run(simulation: &Simulation, seed: u64, plan: &Plan, record: bool) -> Outcome {
    let memory = Memory::begin();
    let outcome = run_world(simulation, seed, plan, record);
    memory.check(simulation, outcome)
}

fn run_world(simulation: &Simulation, seed: u64, plan: &Plan, record: bool) -> Outcome {
    #[cfg(feature = "mutations")]
    grid_core::mutation::plant(simulation.mutation);
    let nothing = |failure| Outcome {
        simulation: simulation.name.clone(),
        seed,
        plan: plan.clone(),
        trace_hash: 0,
        counts: Counts::default(),
        failure: Some(failure),
        events: Vec::new(),
    };
    if let Err(misfit) = plan.fits(simulation) {
        return nothing(misfit);
    }
    let made = caught(record, || {
        let world = World::new(simulation, seed, plan.order);
        let watch = Watch {
            invariants: simulation.invariants.iter().map(|make| make()).collect(),
            counts: Counts::default(),
            kept: record.then(Vec::new),
        };
        (world, watch)
    });
    let (world, mut watch) = match made {
        Ok(made) => made,
        Err(panic) => return nothing(panic),
    };
    let cast = Cast::new(&world, plan);
    let result = caught(record, || drive(&cast, &mut watch)).and_then(|result| result);
    let outcome = Outcome {
        trace_hash: world.executor.trace_hash(),
        counts: Counts {
            steps: world.executor.steps(),
            ..watch.counts
        },
        failure: result.err(),
        events: watch.kept.unwrap_or_default(),
        ..nothing(String::new())
    };
    // Whatever still waits for something that holds it is let go.
    let end = caught(record, || {
        (0..world.server_count()).for_each(|server| world.crash_server(server, true));
        (0..world.device_count()).for_each(|device| world.crash_device(device, true));
        world.executor.crash(DIRECTOR);
    });
    match end {
        Ok(()) => outcome,
        Err(panic) => Outcome {
            failure: outcome.failure.or(Some(format!("at its end it {panic}"))),
            ..outcome
        },
    }
}

/// What looks on.
struct Watch {
    invariants: Vec<Box<dyn Invariant>>,
    counts: Counts,
    kept: Option<Vec<TimedEvent>>,
}

impl Watch {
    /// Looks at what happened since the last step.
    fn look(&mut self, world: &World) -> Result<(), String> {
        for happened in world.take_events() {
            let view = View {
                world,
                now: happened.at,
            };
            self.count(&happened.event);
            if let Event::Frame {
                fate: FrameFate::Sent,
                message: Some(message),
                ..
            } = &happened.event
            {
                match &**message {
                    Message::Ack(ack) => world.ledger.verdicts(ack),
                    Message::Push(push) => world.ledger.pushed(push, |op| view.ack_level(op)),
                    _ => {}
                }
            }
            if let Event::PutBack { remains, .. } = &happened.event {
                world.ledger.put_back(remains);
            }
            let mut recording = lock(&world.recording);
            recording.see(happened.at, &happened.event, world);
            recording.look(happened.at, &happened.event, world);
            drop(recording);
            for invariant in &mut self.invariants {
                invariant
                    .observe(&happened.event, &view)
                    .map_err(|broken| format!("{}: {broken}", invariant.name()))?;
            }
            if let Some(kept) = &mut self.kept {
                kept.push(happened);
            }
        }
        Ok(())
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Down(_) => self.counts.crashes += 1,
            Event::Fault(Fault::Cut { .. }) => self.counts.cuts += 1,
            Event::Write { .. } | Event::Read { .. } => self.counts.ops += 1,
            _ => {}
        }
    }
}

/// Steps until the run is over or something does not hold.
fn drive(cast: &Cast, watch: &mut Watch) -> Result<(), String> {
    let world = cast.world.clone();
    let result: Arc<Mutex<Option<Result<(), String>>>> = Arc::default();
    let (slot, director) = (result.clone(), cast.clone());
    let directed = async move {
        let end = direct(&director).await;
        *lock(&slot) = Some(end);
    };
    world.executor.spawn(DIRECTOR, "direct", Box::pin(directed));
    while world.executor.polls() < MAX_POLLS {
        let goes_on = world.executor.step();
        for (party, silent, down_ms) in world.take_fallen() {
            fall(cast, party, silent, down_ms);
        }
        watch.look(&world)?;
        if let Some(failure) = world.failure() {
            return Err(failure);
        }
        if let Some(result) = lock(&result).take() {
            return result;
        }
        if !goes_on {
            return Err("nothing can happen any more, and the run is not over".to_owned());
        }
    }
    Err(format!("not over after {MAX_POLLS} polls of tasks"))
}

async fn direct(cast: &Cast) -> Result<(), String> {
    let world = &cast.world;
    for server in 0..world.server_count() {
        let start = async {
            let started = world.start_server(server).await;
            started.map_err(|error| format!("start server {server}: {}", error.message))
        };
        within(world, "the start of a server", start).await?;
        if cast.restores_backups() {
            world.back_up(server);
        }
    }
    for device in cast.devices() {
        within(world, "the start of a device", wake_device(cast, device)).await?;
    }
    if let Some(device) = cast.devices().next().and_then(|first| cast.device(first)) {
        let setup = world.simulation.workload.setup(&device);
        within(world, "the workload's setup", setup).await?;
    }
    for (number, at_ms) in cast.plan.audits.iter().enumerate() {
        let (world, at) = (world.clone(), Duration::from_millis(*at_ms));
        let audits = async move {
            world.executor.sleep_until(at).await;
            audit(&world, number).await;
        };
        cast.world
            .executor
            .spawn(DIRECTOR, "audit", Box::pin(audits));
    }
    for fault in &cast.plan.faults {
        let at = Duration::from_millis(fault.at_ms);
        world.executor.sleep_until(at).await;
        inflict(cast, fault.fault);
    }
    world
        .executor
        .sleep_until(world.simulation.fault_phase)
        .await;
    // A power cut that waited for input or output waits no longer.
    for (party, silent, down_ms) in world.take_fuses() {
        fall(cast, party, silent, down_ms);
    }
    heal(cast).await?;
    within(world, "to agree", agree(cast)).await
}

/// Ends all faults, and waits until everybody is back.
async fn heal(cast: &Cast) -> Result<(), String> {
    let world = &cast.world;
    world.network.heal();
    for server in 0..world.server_count() {
        world.with_server(server, |side| {
            side.disk.set_capacity(usize::MAX);
            // An error that no call met yet is none any more.
            side.disk.forget_faults();
            side.disk_medium.mend();
            side.database_medium.mend();
            side.append_faults.mend();
        });
    }
    world.database_trouble.mend();
    if let Some(owners) = world.owners() {
        owners.tell(Duration::MAX);
    }
    for device in 0..world.device_count() {
        world.with_device(device, |side| side.medium.mend());
    }
    world.emit(Event::Healed);
    world
        .sleep(BACK_AFTER.max(cast.longest_absence() + STARTS_WITHIN))
        .await;
    // A connection that lost frames without breaking is noticed by the next signs of life.
    world.sleep(NOTICED_AFTER).await;
    let down = (0..world.server_count()).find(|server| world.server_handle(*server).is_none());
    match down {
        Some(server) => Err(format!("server {server} did not come back")),
        None => Ok(()),
    }
}

/// Makes a fault happen; what takes time goes on in the background.
fn inflict(cast: &Cast, fault: Fault) {
    let world = &cast.world;
    world.executor.step_taken(DIRECTOR, "fault", 0);
    world.emit(Event::Fault(fault));
    let millis = Duration::from_millis;
    match fault {
        Fault::Cut { device, up, down } => cut(world, device, up, down),
        Fault::Heal => world.network.heal(),
        Fault::Links(faults) => world.network.set_faults(faults),
        Fault::CrashServer {
            server,
            silent,
            down_ms,
            after_io,
        } => crash(cast, server_party(server), silent, down_ms, after_io),
        Fault::CrashDevice {
            device,
            silent,
            down_ms,
            after_io,
        } => crash(cast, device_party(device), silent, down_ms, after_io),
        Fault::Clock {
            device,
            offset_ms,
            drift_ppm,
        } => world.set_clock(device, offset_ms, drift_ppm),
        Fault::ServerClock {
            server,
            offset_ms,
            drift_ppm,
        } => {
            let party = server_party(server);
            world.executor.set_clock(party, offset_ms, drift_ppm);
        }
        Fault::DiskFull { server, for_ms } => fill_disk(world, server, millis(for_ms)),
        Fault::DiskError { server, sync, nth } => fail_disk(world, server, sync, nth),
        Fault::StoreError { device, for_ms } => {
            world.with_device(device, |side| side.medium.fail_for(millis(for_ms)));
        }
        Fault::StoreSlow {
            device,
            call_ms,
            for_ms,
        } => {
            let (call, time) = (millis(call_ms), millis(for_ms));
            world.with_device(device, |side| side.medium.slow_for(call, time));
        }
        Fault::DatabaseError { .. }
        | Fault::DatabaseSlow { .. }
        | Fault::DatabaseRefuses { .. }
        | Fault::DatabaseTears { .. } => trouble_database(world, fault),
        Fault::TakeOver { server, late_ms } => take_over(world, server, millis(late_ms)),
        Fault::ExpireToken {
            device,
            lives_ms,
            renewed_after_ms,
            refused_ms,
        } => {
            let now_ms = world.true_ms(world.executor.now());
            world.tokens.issue(device, now_ms, Some(now_ms + lives_ms));
            renew_token(world, device, millis(renewed_after_ms), refused_ms);
        }
        Fault::Backup { server } => world.back_up(server),
        Fault::RestoreBackup { server, .. } => restore(cast, server, fault),
    }
}

/// Gives a device's app a token that does not expire, in a while.
fn renew_token(world: &World, device: usize, after: Duration, refused_ms: u64) {
    let giver = world.clone();
    let give = async move {
        giver.sleep(after).await;
        let now_ms = giver.true_ms(giver.executor.now());
        giver.tokens.issue(device, now_ms + refused_ms, None);
    };
    world.executor.spawn(DIRECTOR, "new token", Box::pin(give));
}

fn cut(world: &World, device: usize, up: bool, down: bool) {
    for server in 0..world.server_count() {
        if up {
            world
                .network
                .cut(device_party(device), server_party(server));
        }
        if down {
            world
                .network
                .cut(server_party(server), device_party(device));
        }
    }
}

/// A server becomes the owner of everything, and the others hear of it later.
fn take_over(world: &World, server: usize, late: Duration) {
    let Some(owners) = world.owners() else { return };
    let due = world.executor.now() + late;
    let others = (0..world.server_count()).filter(|other| *other != server);
    others.for_each(|other| owners.make_late(other, due));
    owners.give_all_to(server, world.simulation.settings.partition_count);
    let executor = world.executor.clone();
    let tell = async move {
        executor.sleep_until(due).await;
        owners.tell(due);
    };
    world
        .executor
        .spawn(DIRECTOR, "tell of owners", Box::pin(tell));
}

fn fail_disk(world: &World, server: usize, sync: bool, nth: u64) {
    let call = if sync {
        DiskCall::Sync
    } else {
        DiskCall::Append
    };
    world.with_server(server, |side| {
        side.disk.fail(call, nth, DiskFault::Io);
        side.append_faults.add(nth, sync);
    });
}

fn fill_disk(world: &World, server: usize, time: Duration) {
    world.with_server(server, |side| {
        let used: usize = side.disk.files().iter().map(|(_, length)| length).sum();
        side.disk.set_capacity(used);
    });
    let mended = world.clone();
    let mend = async move {
        mended.sleep(time).await;
        mended.with_server(server, |side| side.disk.set_capacity(usize::MAX));
    };
    world.executor.spawn(DIRECTOR, "make room", Box::pin(mend));
}

/// A server loses its power and is put back to its backup.
fn restore(cast: &Cast, server: usize, fault: Fault) {
    let (world, party) = (&cast.world, server_party(server));
    if let Fault::RestoreBackup {
        part,
        silent,
        down_ms,
        crash_after_io,
        ..
    } = fault
        && world.server_count() == 1
        && server == 0
    {
        fall(cast, party, silent, down_ms);
        world.put_back(server, part);
        if crash_after_io > 0 {
            world.crash_at_io(party, crash_after_io, silent, down_ms);
        }
    }
}

fn crash(cast: &Cast, party: PartyId, silent: bool, down_ms: u64, after_io: u32) {
    if after_io == 0 {
        fall(cast, party, silent, down_ms);
    } else {
        cast.world.crash_at_io(party, after_io, silent, down_ms);
    }
}

/// A party loses its power, and comes back. One that is down or just starting loses it again.
fn fall(cast: &Cast, party: PartyId, silent: bool, down_ms: u64) {
    let world = &cast.world;
    let server = (0..world.server_count()).find(|server| server_party(*server) == party);
    let device = cast.devices().find(|device| device_party(*device) == party);
    let cast = cast.clone();
    let back = Duration::from_millis(down_ms);
    if let Some(server) = server {
        world.crash_server(server, silent);
        let come_back = async move {
            cast.world.sleep(back).await;
            start_again(&cast.world, server).await;
        };
        world
            .executor
            .spawn(party, "power comes back", Box::pin(come_back));
    } else if let Some(device) = device {
        world.crash_device(device, silent);
        let come_back = async move {
            cast.world.sleep(back).await;
            if let Err(error) = wake_device(&cast, device).await {
                cast.world.fail(error);
            }
        };
        world
            .executor
            .spawn(party, "power comes back", Box::pin(come_back));
    }
}

/// How long somebody waits before a server that did not start is started again.
const START_AGAIN_AFTER: Duration = Duration::from_millis(400);

/// Starts a server. While its disk or its database fail it cannot; somebody tries again, as a
/// supervisor would.
async fn start_again(world: &World, server: usize) {
    let faults_end = world.simulation.fault_phase + Duration::from_secs(1);
    loop {
        match world.start_server(server).await {
            Ok(()) => return,
            Err(error) if error.diverged && world.order_new_history(server) => {
                world.sleep(START_AGAIN_AFTER).await;
            }
            Err(error) if world.executor.now() > faults_end => {
                world.fail(format!(
                    "server {server} does not start after a crash: {}",
                    error.message
                ));
                return;
            }
            Err(_) => world.sleep(START_AGAIN_AFTER).await,
        }
    }
}
