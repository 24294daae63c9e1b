//! A server that is put back to a backup: its database, its journal, or both.

use grid_testkit::scenario::{FaultKind, MixedWrites, Simulation};

pub(super) fn simulation() -> Simulation {
    let kinds = [
        (FaultKind::Backup, 20),
        (FaultKind::RestoreBackup, 25),
        (FaultKind::CrashServer, 20),
        (FaultKind::CrashDevice, 15),
        (FaultKind::Cut, 10),
        (FaultKind::Links, 10),
        (FaultKind::DatabaseError, 5),
        (FaultKind::DatabaseSlow, 20),
        (FaultKind::DiskError, 5),
        (FaultKind::Heal, 10),
    ];
    let always = [
        FaultKind::Backup,
        FaultKind::RestoreBackup,
        FaultKind::CrashServer,
        FaultKind::Cut,
    ];
    Simulation::new("backups")
        .always(always)
        .faults(6, kinds)
        .workload(MixedWrites {
            keys: 8,
            removals: 30,
        })
        .settings(|settings| {
            // The database lags by little, and its state record lags its records now and then.
            settings.flush_interval_ms = 150;
            settings.flush_records = 1;
        })
}
