//! Users who act in the same instant, so that stamps are equal but for who made them, and whose
//! devices may have few ops on their way.

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
        // Less than what waits on a device that comes back.
        .settings(|settings| settings.push_window = 4)
}
