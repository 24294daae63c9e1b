//! Two servers on one journal and one database, of which each takes over from the other while that
//! one lives on and hears of it late.

use grid_testkit::scenario::{FaultKind, Simulation};

pub(super) fn simulation() -> Simulation {
    let kinds = [
        (FaultKind::TakeOver, 45),
        (FaultKind::CrashServer, 15),
        (FaultKind::CrashDevice, 10),
        (FaultKind::DiskError, 10),
        (FaultKind::Cut, 10),
        (FaultKind::Links, 10),
        (FaultKind::Heal, 10),
        (FaultKind::DatabaseError, 5),
        (FaultKind::DatabaseSlow, 5),
    ];
    let always = [
        FaultKind::TakeOver,
        FaultKind::TakeOver,
        FaultKind::CrashServer,
        FaultKind::Cut,
    ];
    Simulation::new("owners")
        .servers(2)
        .always(always)
        .faults(7, kinds)
}
