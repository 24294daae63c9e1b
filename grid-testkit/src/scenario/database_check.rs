//! The end of a run at the database: it has what the servers have, and nothing is left aside.

use std::time::Duration;

use grid_core::{Error, ErrorKind, Key, MapAddress, MapName, Namespace};
use grid_server::{Admin, DeadLetter};

use super::contents::Contents;
use super::ledger::{FinalState, Versioned};
use super::world::{World, lock};

/// The time between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Most letters that are looked at.
const LETTERS: usize = 1000;

/// Waits until everything is stored, has the dead letters stored as well, as an operator would, and
/// compares what the database holds with what the servers hold.
pub(super) async fn database_agrees(
    world: &World,
    servers: &FinalState,
    deadline: Duration,
) -> Result<(), String> {
    drained(world, deadline).await?;
    settle(world, deadline).await?;
    drained(world, deadline).await?;
    let persistence = lock(&world.database).connect()?;
    let told = |error: Error| format!("read the database: {error}");
    let count = world.simulation.settings.partition_count;
    let contents = Contents::read(&*persistence, count).await.map_err(told)?;
    let mut keys = world.ledger.keys();
    keys.extend(servers.keys().cloned());
    for (map, key) in keys {
        let stored = live(world, &contents, &map, &key).map_err(told)?;
        let served = servers.get(&(map.clone(), key.clone()));
        if stored.as_ref() != served {
            return Err(format!(
                "database and server differ: {map}/{key} is {:?} in the database, and {:?}",
                stored.map(|one| one.stamp),
                served.map(|one| one.stamp)
            ));
        }
    }
    Ok(())
}

fn admins(world: &World) -> Vec<Admin> {
    let servers = 0..world.server_count();
    servers.filter_map(|one| world.server_admin(one)).collect()
}

async fn drained(world: &World, deadline: Duration) -> Result<(), String> {
    loop {
        let lags = admins(world).into_iter().map(|admin| admin.lag().changes);
        let waiting: u64 = lags.sum();
        if waiting == 0 {
            return Ok(());
        }
        if world.executor.now() > deadline {
            return Err(format!("{waiting} changes are still not stored"));
        }
        world.sleep(LOOK_AGAIN).await;
    }
}

/// Has every dead letter stored, but for those that the database still refuses.
async fn settle(world: &World, deadline: Duration) -> Result<(), String> {
    let mut refused = Vec::new();
    loop {
        let letters = letters(world).await?;
        let mut open = letters.iter().filter(|one| !refused.contains(&one.id));
        let Some(letter) = open.next() else {
            return Ok(());
        };
        match retry(world, letter).await {
            Err(error) if is_refusal(&error) => refused.push(letter.id.clone()),
            Err(error) if world.executor.now() > deadline => {
                return Err(format!("dead letter {} stays: {error}", letter.id));
            }
            Ok(()) | Err(_) => world.sleep(LOOK_AGAIN).await,
        }
    }
}

async fn letters(world: &World) -> Result<Vec<DeadLetter>, String> {
    let Some(admin) = admins(world).into_iter().next() else {
        return Ok(Vec::new());
    };
    let found = admin.dead_letters(None, LETTERS).await;
    let found = found.map_err(|error| format!("list dead letters: {error}"))?;
    Ok(found.letters)
}

async fn retry(world: &World, letter: &DeadLetter) -> Result<(), Error> {
    let mut answer = Ok(());
    for admin in admins(world) {
        answer = admin.retry_dead_letter(&letter.id).await;
        if answer.is_ok() {
            break;
        }
    }
    answer
}

fn is_refusal(error: &Error) -> bool {
    let kind = error.kind();
    kind == ErrorKind::Invalid || kind == ErrorKind::TooLarge || kind == ErrorKind::Unsupported
}

/// The value that a database has of an entry.
fn live(
    world: &World,
    contents: &Contents,
    map: &str,
    key: &str,
) -> Result<Option<Versioned>, Error> {
    let address = MapAddress {
        namespace: Namespace::default(),
        map: MapName::new(map)?,
    };
    let key = Key::new(key)?;
    let now_ms = world.true_ms(world.executor.now());
    let mut partitions = contents.partitions();
    let record = partitions.find_map(|(_, partition, _)| partition.get(&address, &key));
    let record = record.filter(|record| record.is_live(now_ms));
    Ok(record.and_then(|record| {
        let stamp = record.stamp;
        record.value.map(|value| Versioned { value, stamp })
    }))
}
