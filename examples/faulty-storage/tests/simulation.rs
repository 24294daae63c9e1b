//! The grid's client on the chip, with and without the bug.

use faulty_storage::{Apply, Flash};
use grid_testkit::scenario::{FaultKind, Simulation};

/// Devices whose power goes often, in the middle of what they write.
fn phones(apply: Apply) -> Simulation {
    Simulation::new("phones with a chip of their own")
        .store(move |_| Box::new(Flash::new(apply)))
        .always([FaultKind::CrashDevice, FaultKind::CrashDevice])
        .faults(6, [(FaultKind::CrashDevice, 80), (FaultKind::Cut, 20)])
}

grid_testkit::simulation!(
    /// A batch that is marked as complete happens whole or not at all.
    a_journalled_batch_survives_power_cuts,
    phones(Apply::Journalled)
);

#[test]
fn without_power_cuts_the_bug_does_not_show() {
    let network = [
        (FaultKind::Cut, 40),
        (FaultKind::Links, 40),
        (FaultKind::CrashServer, 20),
    ];
    let plugged_in = phones(Apply::InPlace).always([]).faults(6, network);
    assert_eq!(plugged_in.sweep(0..20, 0).failed, 0);
}

#[test]
fn a_batch_applied_in_place_is_found_out() {
    let faulty = phones(Apply::InPlace);
    let summary = faulty.sweep(0..40, 0);
    let failing = summary
        .failures
        .first()
        .expect("half a batch stays when the power goes between two rows");

    // A power cut and a few writes are all that it takes.
    let shrunk = faulty.shrink(failing, 600);
    let plan = &shrunk.outcome.plan;
    assert!(plan.len() * 10 <= shrunk.size_before, "{plan}");
    assert!(
        plan.faults.iter().any(|timed| timed.fault.is_crash()),
        "{plan}"
    );
    println!("{}", shrunk.outcome);

    let again = faulty.run_plan(shrunk.outcome.seed, plan);
    assert_eq!(again.trace_hash, shrunk.outcome.trace_hash);
}
