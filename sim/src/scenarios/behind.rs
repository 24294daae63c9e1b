//! A database that fails, is slow, takes a part, and refuses records, behind a server that crashes.

use grid_server::config::AckLevels;
use grid_testkit::scenario::{FaultKind, MixedWrites, Simulation};

pub(super) fn simulation() -> Simulation {
    let kinds = [
        (FaultKind::DatabaseTears, 20),
        (FaultKind::DatabaseRefuses, 20),
        (FaultKind::DatabaseError, 15),
        (FaultKind::DatabaseSlow, 10),
        (FaultKind::CrashServer, 25),
        (FaultKind::DiskError, 10),
        (FaultKind::CrashDevice, 5),
        (FaultKind::Cut, 5),
        (FaultKind::Links, 5),
        (FaultKind::Heal, 5),
    ];
    let always = [
        FaultKind::DatabaseTears,
        FaultKind::DatabaseRefuses,
        FaultKind::CrashServer,
        FaultKind::Cut,
    ];
    Simulation::new("behind")
        .always(always)
        .faults(7, kinds)
        .workload(MixedWrites {
            keys: 6,
            removals: 25,
        })
        .settings(|settings| {
            // Few partitions, small batches and a low bound: much waits, and in several pieces.
            settings.partition_count = 2;
            settings.map_spread = 1;
            settings.flush_interval_ms = 150;
            settings.flush_records = 2;
            settings.backlog_records = 6;
            settings.batch_ops = 4;
            settings.dead_letters = 3;
            settings.ack_levels = AckLevels::parse("notes-2=stored").unwrap_or_default();
        })
}
