//! What is easier to understand than a fault, and may show the same bug.

use super::fault::Fault;
use crate::sim::LinkFaults;

/// The faults that are simpler than `fault` by one step each. None of them leads back to it.
pub(super) fn simpler(fault: Fault) -> Vec<Fault> {
    let mut all = match fault {
        Fault::Cut { device, .. } => vec![
            Fault::Cut {
                device,
                up: true,
                down: false,
            },
            Fault::Cut {
                device,
                up: false,
                down: true,
            },
        ],
        Fault::Links(faults) => links(faults),
        Fault::CrashServer { .. } | Fault::CrashDevice { .. } => crash(fault),
        Fault::Clock {
            device, offset_ms, ..
        } => vec![Fault::Clock {
            device,
            offset_ms,
            drift_ppm: 0,
        }],
        Fault::ServerClock {
            server, offset_ms, ..
        } => vec![Fault::ServerClock {
            server,
            offset_ms,
            drift_ppm: 0,
        }],
        Fault::DiskError { server, sync, .. } => vec![Fault::DiskError {
            server,
            sync,
            nth: 1,
        }],
        Fault::DatabaseRefuses { for_ms, .. } => vec![Fault::DatabaseRefuses { every: 1, for_ms }],
        Fault::TakeOver { server, .. } => vec![Fault::TakeOver { server, late_ms: 0 }],
        Fault::ExpireToken { .. } => token(fault),
        Fault::RestoreBackup { .. } => restore(fault),
        _ => Vec::new(),
    };
    // Of a cut in one direction there is nothing left to take.
    let one_way = matches!(fault, Fault::Cut { up, down, .. } if up != down);
    all.retain(|simple| *simple != fault && !one_way);
    all
}

fn links(faults: LinkFaults) -> Vec<Fault> {
    let healthy = LinkFaults::healthy();
    let changes: [fn(&mut LinkFaults, LinkFaults); 6] = [
        |links, healthy| links.drop_percent = healthy.drop_percent,
        |links, healthy| links.duplicate_percent = healthy.duplicate_percent,
        |links, healthy| links.reorder_percent = healthy.reorder_percent,
        |links, healthy| links.corrupt_percent = healthy.corrupt_percent,
        |links, healthy| links.reset_percent = healthy.reset_percent,
        |links, healthy| links.delay_ms = healthy.delay_ms,
    ];
    let changed = changes.into_iter().map(|change| {
        let mut links = faults;
        change(&mut links, healthy);
        Fault::Links(links)
    });
    changed.collect()
}

/// At once, loud, and gone for no longer than it takes to start.
fn crash(fault: Fault) -> Vec<Fault> {
    let with = |change: fn(&mut bool, &mut u64, &mut u32)| {
        let mut changed = fault;
        if let Fault::CrashServer {
            silent,
            down_ms,
            after_io,
            ..
        }
        | Fault::CrashDevice {
            silent,
            down_ms,
            after_io,
            ..
        } = &mut changed
        {
            change(silent, down_ms, after_io);
        }
        changed
    };
    vec![
        with(|_, _, after_io| *after_io = 0),
        with(|silent, _, _| *silent = false),
        with(|_, down_ms, _| *down_ms = 0),
    ]
}

fn token(fault: Fault) -> Vec<Fault> {
    let mut changed = fault;
    if let Fault::ExpireToken { refused_ms, .. } = &mut changed {
        *refused_ms = 0;
    }
    vec![changed]
}

fn restore(fault: Fault) -> Vec<Fault> {
    let with = |change: fn(&mut bool, &mut u64, &mut u32)| {
        let mut changed = fault;
        if let Fault::RestoreBackup {
            silent,
            down_ms,
            crash_after_io,
            ..
        } = &mut changed
        {
            change(silent, down_ms, crash_after_io);
        }
        changed
    };
    vec![
        with(|_, _, crash_after_io| *crash_after_io = 0),
        with(|silent, _, _| *silent = false),
        with(|_, down_ms, _| *down_ms = 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::FaultKind;
    use crate::scenario::fault::Cast;
    use crate::sim::Executor;

    const KINDS: [FaultKind; 20] = [
        FaultKind::Cut,
        FaultKind::Heal,
        FaultKind::Links,
        FaultKind::CrashServer,
        FaultKind::CrashDevice,
        FaultKind::LongAbsence,
        FaultKind::Clock,
        FaultKind::ServerClock,
        FaultKind::DiskFull,
        FaultKind::DiskError,
        FaultKind::StoreError,
        FaultKind::StoreSlow,
        FaultKind::DatabaseError,
        FaultKind::DatabaseSlow,
        FaultKind::DatabaseRefuses,
        FaultKind::DatabaseTears,
        FaultKind::TakeOver,
        FaultKind::ExpireToken,
        FaultKind::Backup,
        FaultKind::RestoreBackup,
    ];

    #[test]
    fn every_fault_is_as_simple_as_can_be_after_a_few_steps() {
        let cast = Cast {
            devices: 3,
            servers: 2,
            retention_ms: 1000,
        };
        for seed in 0..50 {
            let chance = Executor::new(seed);
            for kind in KINDS {
                let mut fault = kind.draw(&chance, cast);
                let (party, mut steps) = ((fault.device(), fault.server()), 0);
                while let Some(simple) = simpler(fault).into_iter().last() {
                    assert_ne!(simple, fault);
                    assert_eq!((simple.device(), simple.server()), party, "{simple:?}");
                    (fault, steps) = (simple, steps + 1);
                    assert!(steps <= 6, "{fault:?}");
                }
            }
        }
    }

    #[test]
    fn a_bad_link_ends_as_a_healthy_one() {
        let mut fault = Fault::Links(LinkFaults {
            delay_ms: (3, 300),
            drop_percent: 7,
            duplicate_percent: 6,
            reorder_percent: 5,
            corrupt_percent: 4,
            reset_percent: 3,
        });
        let mut steps = 0;
        while let Some(simple) = simpler(fault).into_iter().next() {
            (fault, steps) = (simple, steps + 1);
        }
        assert_eq!((fault, steps), (Fault::Links(LinkFaults::healthy()), 6));
    }
}
