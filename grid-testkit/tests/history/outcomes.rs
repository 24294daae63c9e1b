//! Outcome accounting: histories by hand.

use grid_core::OpId;
use grid_testkit::history::{
    Applied, Fates, Guarantee, Outcome, Recorder, Seen, Source, check_outcomes,
};

use super::script::{MAP, Script, acked, broken, calls_of, op, put, remove, version};

#[track_caller]
fn passes(script: &Script) -> Fates {
    check_outcomes(&script.history())
        .unwrap_or_else(|violation| panic!("this history is good: {violation}"))
}

#[track_caller]
fn fails(script: &Script, guarantee: Guarantee, calls: usize) {
    let violation = broken(check_outcomes(&script.history()), guarantee);
    assert_eq!(calls_of(&violation), calls, "{violation}");
}

fn apply(script: &Script, id: OpId, sequence: u64, history: u64) {
    let applied = Applied {
        id,
        history,
        partition: 3,
        sequence,
        map: MAP.to_owned(),
        key: "k".to_owned(),
        seen: Seen::value(1),
    };
    script.recorder.applied(script.now(), "journal", applied);
}

#[test]
fn every_write_is_counted_or_listed_once() {
    let script = Script::default();
    script.done("a", put("k", 1), acked(1));
    script.done("a", put("k", 2), Outcome::Superseded { by: None });
    script.done("a", put("k", 3), Outcome::rejected("forbidden"));
    let pending = script.durable("b", put("l", 4), op(2, 1));
    let crashed = script.call("b", put("m", 5));
    let failed = script.done("b", remove("n"), Outcome::Unknown);
    script.read("b", Source::Server, "k", Seen::value(1));
    let fates = passes(&script);
    assert_eq!((fates.acked, fates.superseded, fates.rejected), (1, 1, 1));
    assert_eq!(fates.pending, [pending]);
    assert_eq!(fates.unknown, [crashed, failed]);
    assert_eq!(fates.writes(), 6);
}

#[test]
fn a_fate_may_be_told_again_but_not_another() {
    let script = Script::default();
    let call = script.durable("a", put("k", 1), op(1, 1));
    script.end(&call, Outcome::acked());
    script.end(&call, acked(1));
    passes(&script);
    script
        .recorder
        .learned(script.now(), "a", op(1, 1), Outcome::rejected("no"));
    fails(&script, Guarantee::OneFate, 1);
}

#[test]
fn a_superseded_write_may_be_told_of_other_winners_later() {
    let script = Script::default();
    let call = script.durable("a", put("k", 1), op(1, 1));
    for winner in [5, 7] {
        let by = Some(version(winner));
        script.end(&call, Outcome::Superseded { by });
    }
    assert_eq!(passes(&script).superseded, 1);
    script.end(&call, Outcome::acked());
    fails(&script, Guarantee::OneFate, 1);
}

#[test]
fn a_fate_that_is_learned_after_a_restart_counts() {
    let script = Script::default();
    script.durable("a", put("k", 1), op(1, 1));
    let again = Script::after(script.history());
    again
        .recorder
        .learned(again.now(), "a", op(1, 1), Outcome::rejected("no"));
    again.call("a", put("k", 2));
    let fates = passes(&again);
    assert_eq!((fates.rejected, fates.unknown.len()), (1, 1));
}

#[test]
fn a_fate_counts_from_when_it_was_first_learned() {
    let script = Script::default();
    let call = script.durable("a", put("k", 1), op(1, 1));
    let rejected = Outcome::rejected("forbidden");
    let now = script.now();
    script
        .recorder
        .learned(now, "a", op(1, 1), rejected.clone());
    let told = script.history();
    script.end(&call, rejected.clone());
    passes(&script);

    let shown = Script::after(told);
    shown.read("a", Source::Local, "k", Seen::value(1));
    shown.end(&call, rejected);
    fails(&shown, Guarantee::RejectedLeavesNoTrace, 2);
}

#[test]
fn one_op_is_one_call_with_one_version() {
    let copied = Script::default();
    copied.durable("a", put("k", 1), op(1, 1));
    copied.durable("copy of a", put("k", 2), op(1, 1));
    fails(&copied, Guarantee::OneFate, 2);

    let restamped = Script::default();
    let call = restamped.durable("a", put("k", 1), op(1, 1));
    restamped.end(&call, acked(1));
    let mut other = version(1);
    other.hlc = other.hlc.next();
    restamped.read("b", Source::Server, "k", Seen::value(1).at(other));
    fails(&restamped, Guarantee::OneFate, 0);
}

#[test]
fn what_was_acked_is_there_at_every_party() {
    let script = Script::default();
    script.done("a", put("k", 1), Outcome::acked());
    script.state("server", &[("k", Seen::value(1))]);
    passes(&script);
    script.state("a", &[]);
    fails(&script, Guarantee::AckedIsKept, 1);
}

#[test]
fn what_was_acked_after_a_state_was_taken_need_not_be_there() {
    let script = Script::default();
    script.state("server", &[]);
    script.done("a", put("k", 1), Outcome::acked());
    passes(&script);
}

#[test]
fn an_acked_write_loses_only_against_a_later_version() {
    let ends = |winner: u64| {
        let script = Script::default();
        script.done("a", put("k", 2), acked(2));
        script.done("b", put("k", 3), acked(3));
        script.done("c", put("k", 1), Outcome::acked());
        script.state("server", &[("k", Seen::value(winner))]);
        script
    };
    passes(&ends(3));
    fails(&ends(2), Guarantee::AckedIsKept, 1);
    // The version of 1 is not known: it may have been the last.
    passes(&ends(1));
}

#[test]
fn an_acked_write_does_not_lose_against_an_earlier_one_of_its_session() {
    let script = Script::default();
    script.done("a", put("k", 1), Outcome::acked());
    script.done("a", put("k", 2), Outcome::acked());
    script.state("server", &[("k", Seen::value(1))]);
    fails(&script, Guarantee::AckedIsKept, 1);
}

#[test]
fn an_acked_write_does_not_lose_against_what_is_older_than_its_clock() {
    let ends = |clock_ms: u64| {
        let script = Script::default();
        script.done("b", put("k", 50), acked(50));
        let action = put("k", 2);
        let call = script
            .recorder
            .call_at(script.now(), "a", action, Some(clock_ms));
        script.end(&call, Outcome::acked());
        script.state("server", &[("k", Seen::value(50).at(version(50)))]);
        script
    };
    passes(&ends(50));
    fails(&ends(51), Guarantee::AckedIsKept, 1);
}

#[test]
fn an_acked_write_is_gone_only_if_somebody_removed_it_later() {
    let ends = |removal: Option<Outcome>| {
        let script = Script::default();
        if let Some(fate) = removal {
            script.done("b", remove("k"), fate);
        }
        script.done("a", put("k", 5), acked(5));
        script.state("server", &[]);
        script
    };
    fails(&ends(None), Guarantee::AckedIsKept, 1);
    fails(&ends(Some(acked(4))), Guarantee::AckedIsKept, 1);
    fails(
        &ends(Some(Outcome::rejected("no"))),
        Guarantee::AckedIsKept,
        1,
    );
    passes(&ends(Some(acked(6))));
    passes(&ends(Some(Outcome::Durable)));
}

#[test]
fn an_acked_removal_is_kept_too() {
    let ends = |written: u64| {
        let script = Script::default();
        script.done("a", put("k", written), acked(written));
        script.done("b", remove("k"), acked(5));
        script.state("server", &[("k", Seen::value(written))]);
        script
    };
    passes(&ends(6));
    fails(&ends(4), Guarantee::AckedIsKept, 1);
}

#[test]
fn a_superseded_write_does_not_win() {
    let script = Script::default();
    script.done("a", put("k", 1), Outcome::Superseded { by: None });
    script.state("server", &[("k", Seen::value(1))]);
    fails(&script, Guarantee::AckedIsKept, 1);
}

#[test]
fn a_durable_write_is_kept_once_its_device_has_settled() {
    let script = Script::default();
    script.durable("a", put("k", 1), op(1, 1));
    script.state("a", &[]);
    script.state("server", &[]);
    passes(&script);
    script.settled("a", &[]);
    fails(&script, Guarantee::AckedIsKept, 1);

    let told = Recorder::from(script.history());
    told.learned(1_000_000, "a", op(1, 1), Outcome::rejected("forbidden"));
    check_outcomes(&told.history()).unwrap();
}

#[test]
fn a_rejected_write_is_seen_by_nobody_but_its_own_session_before_it_was_told() {
    let script = Script::default();
    let call = script.durable("a", put("k", 1), op(1, 1));
    script.read("a", Source::Local, "k", Seen::value(1));
    script.end(&call, Outcome::rejected("forbidden"));
    passes(&script);

    let traces: [fn(&Script); 5] = [
        |script| drop(script.read("a", Source::Local, "k", Seen::value(1))),
        |script| drop(script.read("b", Source::Local, "k", Seen::value(1))),
        |script| drop(script.read("a", Source::Server, "k", Seen::value(1))),
        |script| script.state("server", &[("k", Seen::value(1))]),
        |script| apply(script, op(1, 1), 1, 0),
    ];
    for trace in traces {
        let traced = Script::after(script.history());
        trace(&traced);
        let result = check_outcomes(&traced.history());
        broken(result, Guarantee::RejectedLeavesNoTrace);
    }
}

#[test]
fn what_nobody_wrote_is_not_seen() {
    let foreign = Script::default();
    foreign.done("a", put("k", 1), Outcome::acked());
    foreign.state("server", &[("k", Seen::value(1)), ("l", Seen::value(1))]);
    fails(&foreign, Guarantee::NothingFromNowhere, 0);

    let early = Script::default();
    early.read("b", Source::Local, "k", Seen::value(1));
    early.done("a", put("k", 1), Outcome::acked());
    fails(&early, Guarantee::NothingFromNowhere, 1);

    let mixed = Script::default();
    mixed.done("a", put("k", 1), acked(1));
    mixed.done("a", put("k", 2), acked(2));
    mixed.read("b", Source::Server, "k", Seen::value(1).at(version(2)));
    fails(&mixed, Guarantee::NothingFromNowhere, 2);
}

#[test]
fn no_op_is_applied_twice() {
    let script = Script::default();
    script.durable("a", put("k", 1), op(1, 1));
    script.durable("b", put("k", 1), op(2, 1));
    apply(&script, op(1, 1), 1, 0);
    apply(&script, op(2, 1), 2, 0);
    // The stream repeats itself after a reconnect, and begins again after a restored backup.
    apply(&script, op(1, 1), 1, 0);
    apply(&script, op(1, 1), 5, 1);
    passes(&script);
    let both = script.history();
    apply(&script, op(1, 1), 3, 0);
    fails(&script, Guarantee::AppliedOnce, 0);

    let script = Script::after(both);
    // Two owners of one partition.
    apply(&script, op(2, 1), 5, 1);
    fails(&script, Guarantee::AppliedOnce, 0);
}
