//! Removals, and devices that are away for longer than the server remembers them.

use grid_testkit::scenario::{FaultKind, MixedWrites, Simulation};

/// How long the server remembers removals, in milliseconds.
const RETENTION_MS: u64 = 3000;

pub(super) fn simulation() -> Simulation {
    let kinds = [
        (FaultKind::LongAbsence, 20),
        (FaultKind::CrashServer, 10),
        (FaultKind::CrashDevice, 10),
        (FaultKind::Cut, 30),
        (FaultKind::Links, 15),
        (FaultKind::Heal, 15),
    ];
    let always = [
        FaultKind::LongAbsence,
        FaultKind::CrashServer,
        FaultKind::Cut,
    ];
    Simulation::new("deletions")
        .always(always)
        .faults(5, kinds)
        .workload(MixedWrites {
            keys: 5,
            removals: 45,
        })
        .settings(|settings| {
            settings.retention_ms = RETENTION_MS;
            settings.housekeeping_ms = 500;
        })
}
