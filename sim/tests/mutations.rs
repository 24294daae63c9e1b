//! The test of the tester: a planted bug is found. `cargo xtask sim --mutations` looks for each of
//! them several times, from other seeds, and makes what it finds small with twice as many runs.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use grid_core::mutation::Mutation;
use grid_sim::mutations::look_for;
use grid_sim::scenarios;

/// What is wrong with how a bug was found, if something is.
fn complaint(mutation: Mutation) -> Option<String> {
    let finding = look_for(mutation, 1);
    let example = finding.example.as_ref();
    let failure = example.and_then(|one| one.failure.as_deref());
    println!("{mutation:?}: {:?} runs, {failure:?}", finding.runs);
    if !finding.found() {
        return Some(format!("{mutation:?} was not found"));
    }
    let (before, after) = finding.sizes[0];
    (after * 5 >= before).then(|| format!("{mutation:?}: {after} of {before} parts are left"))
}

#[test]
fn every_planted_bug_is_found() {
    let next = AtomicUsize::new(0);
    let look = || {
        let mut complaints = Vec::new();
        while let Some(mutation) = Mutation::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            complaints.extend(complaint(*mutation));
        }
        complaints
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let complaints: Vec<String> = std::thread::scope(|scope| {
        let looking: Vec<_> = (0..threads).map(|_| scope.spawn(look)).collect();
        let looked = looking.into_iter();
        looked
            .flat_map(|one| one.join().expect("nobody panics"))
            .collect()
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Leaving out one piece after another got stuck at a third of this run: each piece that goes
/// changes what happens after it.
#[test]
fn a_run_is_made_small_though_its_bug_hangs_on_what_happens_when() {
    let planted = scenarios::named("mixed").expect("there is one");
    let planted = planted.mutation(Mutation::SkipDedup);
    let failing = (0..20).map(|seed| planted.run(seed));
    let failing = failing.into_iter().find(|run| run.failure.is_some());
    let failing = failing.expect("one of a few seeds shows the bug");
    let shrunk = planted.shrink(&failing, 500);
    let (plan, runs) = (&shrunk.outcome.plan, shrunk.runs);
    assert!(shrunk.outcome.failure.is_some(), "what is left fails");
    assert!(
        plan.len() * 5 < shrunk.size_before && runs <= 500,
        "{runs} runs left\n{plan}"
    );
    let again = planted.shrink(&failing, 500);
    assert_eq!(*plan, again.outcome.plan, "it is made small in one way");
}
