//! The test of the tester: a planted bug is found. `cargo xtask sim --mutations` looks for each of
//! them several times, from other seeds, and makes what it finds small with twice as many runs.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use grid_core::mutation::Mutation;
use grid_sim::mutations::{Finding, look_for};
use grid_sim::scenarios;

/// How much of a run may be left once it was made small, in percent: in the median of all bugs, and
/// of a single one.
const MEDIAN_PERCENT: usize = 10;
const MOST_PERCENT: usize = 20;

/// What is wrong with how a bug was found, if something is.
fn complaint(finding: &Finding) -> Option<String> {
    let mutation = finding.mutation;
    match finding.median_percent() {
        Some(left) if finding.found() => {
            (left >= MOST_PERCENT).then(|| format!("{mutation:?}: {left} % of the plan are left"))
        }
        _ => Some(format!("{mutation:?} was not found")),
    }
}

#[test]
fn every_planted_bug_is_found_and_most_runs_become_a_tenth() {
    let next = AtomicUsize::new(0);
    let look = || {
        let mut findings = Vec::new();
        while let Some(mutation) = Mutation::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            let finding = look_for(*mutation, 1);
            let failure = finding
                .example
                .as_ref()
                .and_then(|one| one.failure.as_ref());
            println!("{mutation:?}: {:?} runs, {failure:?}", finding.runs);
            findings.push(finding);
        }
        findings
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let findings: Vec<Finding> = std::thread::scope(|scope| {
        let looking: Vec<_> = (0..threads).map(|_| scope.spawn(look)).collect();
        let looked = looking.into_iter();
        looked
            .flat_map(|one| one.join().expect("nobody panics"))
            .collect()
    });
    let complaints: Vec<String> = findings.iter().filter_map(complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let left = findings.iter().filter_map(Finding::median_percent);
    let mut left: Vec<usize> = left.collect();
    left.sort_unstable();
    let median = left.get(left.len() / 2).copied();
    assert!(
        median.is_some_and(|left| left <= MEDIAN_PERCENT),
        "{left:?}"
    );
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
