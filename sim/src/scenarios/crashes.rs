//! Parties that lose their power again and again, most often in the middle of input or output.

use grid_testkit::scenario::{FaultKind, Simulation};

pub(super) fn simulation() -> Simulation {
    let kinds = [
        (FaultKind::CrashServer, 40),
        (FaultKind::CrashDevice, 30),
        (FaultKind::DiskError, 10),
        (FaultKind::DiskFull, 5),
        (FaultKind::Links, 10),
        (FaultKind::Heal, 5),
    ];
    Simulation::new("crashes").faults(10, kinds)
}
