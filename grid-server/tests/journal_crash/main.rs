//! What the local journal acknowledged survives crashes, failing calls and full disks: thousands
//! of lives on a disk that loses what a real one may lose, each from a seed.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod ledger;
mod life;

use std::sync::{Arc, Mutex, PoisonError};

use grid_core::traits::Runtime;
use grid_testkit::ModelDisk;
use grid_testkit::sim::{Executor, PartyId, SimRuntime, Stream};

use ledger::Ledger;

const SERVER: PartyId = PartyId(1);
/// Lives that end in a crash; one more looks at what is left.
const LIVES: u64 = 5;
/// The last life has to be over by then.
const MAX_STEPS: u64 = 1_000_000;

/// Runs all lives of one seed; what happened stands in the ledger.
fn run(seed: u64, ignore_sync: bool) -> Ledger {
    let world = Executor::new(seed);
    let disk = ModelDisk::new(seed);
    disk.ignore_sync(ignore_sync);
    let runtime: Arc<dyn Runtime> = Arc::new(SimRuntime::new(&world, SERVER));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for epoch in 1..=LIVES {
        life::schedule_faults(&world, &disk);
        let life = life::live(
            disk.clone(),
            Arc::clone(&runtime),
            Arc::clone(&ledger),
            epoch,
        );
        world.spawn(SERVER, "life", Box::pin(life));
        for _ in 0..world.below(Stream::Plan, 900) {
            if !world.step() {
                break;
            }
        }
        world.crash(SERVER);
        // Sometimes only the process dies, and what it had handed to the system stays.
        if world.chance(Stream::Plan, 70) {
            disk.crash();
        } else {
            let before = bytes(&disk);
            disk.restart();
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.left_room += u64::from(bytes(&disk) > before);
        }
    }
    let last = life::last(disk, runtime, Arc::clone(&ledger), LIVES + 1);
    world.block_on(SERVER, MAX_STEPS, last);
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *ledger)
}

/// The length of all files.
fn bytes(disk: &ModelDisk) -> usize {
    disk.files().iter().map(|(_, length)| length).sum()
}

/// The seeds to run: one that is asked for, or `0..count`.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("JOURNAL_SEED") {
        Ok(seed) => vec![seed.parse().expect("JOURNAL_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

#[test]
fn every_acknowledged_batch_survives_and_none_doubles() {
    let mut total = Ledger::default();
    for seed in seeds(1500) {
        let ledger = run(seed, false);
        assert!(
            ledger.violations.is_empty(),
            "{:#?}\nreplay: JOURNAL_SEED={seed} cargo test -p grid-server --test journal_crash every",
            ledger.violations,
        );
        total.acknowledged += ledger.acknowledged;
        total.in_doubt += ledger.in_doubt;
        total.refused += ledger.refused;
        total.resurfaced += ledger.resurfaced;
        total.left_room += ledger.left_room;
    }
    if std::env::var("JOURNAL_SEED").is_err() {
        // The runs are worth something only if all of this happened.
        assert!(total.acknowledged > 100_000, "{total:?}");
        assert!(total.in_doubt > 150, "{total:?}");
        assert!(total.refused > 1000, "{total:?}");
        assert!(total.resurfaced > 1000, "{total:?}");
        assert!(total.left_room > 200, "{total:?}");
    }
}

#[test]
fn on_a_disk_that_ignores_sync_acknowledged_batches_are_lost() {
    let lost = (0..100)
        .filter(|seed| !run(*seed, true).violations.is_empty())
        .count();
    assert!(lost > 80, "only {lost} of 100 runs noticed");
}
