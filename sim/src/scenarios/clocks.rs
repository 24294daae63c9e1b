//! Devices whose clocks jump by minutes, and that are opened again in between.

use grid_testkit::scenario::{FaultKind, MixedWrites, Simulation};

pub(super) fn simulation() -> Simulation {
    let kinds = [
        (FaultKind::Clock, 40),
        (FaultKind::CrashDevice, 40),
        (FaultKind::Cut, 15),
        (FaultKind::Heal, 15),
    ];
    Simulation::new("clocks")
        .faults(10, kinds)
        .workload(MixedWrites {
            keys: 3,
            removals: 20,
        })
}
