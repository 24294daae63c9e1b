//! Users who act in the same instant, so that stamps are equal but for who made them.

use std::time::Duration;

use grid_testkit::scenario::{FaultKind, MixedWrites, Simulation};

pub(super) fn simulation() -> Simulation {
    let kinds = [
        (FaultKind::CrashDevice, 10),
        (FaultKind::Cut, 30),
        (FaultKind::Links, 20),
        (FaultKind::Heal, 20),
    ];
    Simulation::new("ties")
        .faults(4, kinds)
        .rhythm(Duration::from_millis(500))
        .workload(MixedWrites {
            keys: 4,
            removals: 25,
        })
}
