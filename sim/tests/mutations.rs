//! The test of the tester: a planted bug is found. `cargo xtask sim --mutations` looks for each of
//! them several times, from other seeds, and makes what it finds small with twice as many runs.

use grid_core::mutation::Mutation;
use grid_sim::mutations::look_for;
use grid_sim::scenarios;

fn is_found(mutation: Mutation) {
    let finding = look_for(mutation, 1);
    let example = finding.example.as_ref();
    let failure = example.and_then(|one| one.failure.as_deref());
    println!("{mutation:?}: {:?} runs, {failure:?}", finding.runs);
    assert!(finding.found(), "{mutation:?} was not found");
    let (before, after) = finding.sizes[0];
    assert!(
        after * 5 < before,
        "made small: {after} of {before} parts are left"
    );
}

/// Leaving out one piece after another got stuck at a third of this run: each piece that goes
/// changes what happens after it.
#[test]
fn a_run_is_made_small_though_its_bug_hangs_on_what_happens_when() {
    let planted = scenarios::named("mixed").expect("there is one");
    let planted = planted.mutation(Mutation::SkipDedup);
    let failing = planted.run(0);
    assert!(failing.failure.is_some(), "the seed shows the bug");
    let shrunk = planted.shrink(&failing, 500);
    let (plan, runs) = (&shrunk.outcome.plan, shrunk.runs);
    assert!(shrunk.outcome.failure.is_some(), "what is left fails");
    assert!(
        plan.len() * 10 < shrunk.size_before && runs <= 500,
        "{runs} runs left\n{plan}"
    );
    let again = planted.shrink(&failing, 500);
    assert_eq!(*plan, again.outcome.plan, "it is made small in one way");
}

#[test]
fn an_op_that_is_decided_twice_is_found() {
    is_found(Mutation::SkipDedup);
}

#[test]
fn ties_that_are_not_broken_are_found() {
    is_found(Mutation::IgnoreTieBreak);
}

#[test]
fn a_journal_that_does_not_sync_is_found() {
    is_found(Mutation::ForgetFsync);
}

#[test]
fn a_cursor_that_is_off_by_one_is_found() {
    is_found(Mutation::OffByOneCursor);
}

#[test]
fn state_that_changes_before_the_journal_has_it_is_found() {
    is_found(Mutation::ApplyBeforeJournal);
}

#[test]
fn a_removal_that_leaves_nothing_behind_is_found() {
    is_found(Mutation::DropTombstone);
}

#[test]
fn an_owner_that_does_not_give_way_is_found() {
    is_found(Mutation::AcceptStaleEpoch);
}

#[test]
fn a_forgotten_clock_is_found() {
    is_found(Mutation::ForgetHlcHighWater);
}

#[test]
fn a_stale_leaf_is_found() {
    is_found(Mutation::StaleMerkleLeaf);
}

#[test]
fn an_ack_before_the_commit_is_found() {
    is_found(Mutation::AckBeforeCommit);
}
