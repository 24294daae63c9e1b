//! What nothing but the checkers of the history can see.

use grid_core::mutation::Mutation;
use grid_sim::scenarios;

/// How many runs there are, of which most must show the bug.
const RUNS: u64 = 12;

/// The write is there again when all parties are compared, and no device ever saw it missing: only
/// somebody who asks the server after it has acknowledged the write can tell.
#[test]
fn a_stale_read_of_an_acknowledged_write_is_not_linearizable() {
    let planted = scenarios::named("mixed").expect("there is one");
    let planted = planted.mutation(Mutation::StaleRead);
    let mut named = 0;
    for seed in 0..RUNS {
        let mut plan = planted.plan(seed);
        if let Some(failure) = planted.run_plan(seed, &plan).failure {
            let guarantee = "history: linearizability is broken";
            assert!(failure.starts_with(guarantee), "seed {seed}: {failure}");
            named += 1;
        }
        // Nothing else that looks on, during the run or in the end, notices.
        plan.audits.clear();
        assert_eq!(planted.run_plan(seed, &plan).failure, None, "seed {seed}");
    }
    assert!(named * 2 > RUNS, "{named} of {RUNS} runs show it");
}
