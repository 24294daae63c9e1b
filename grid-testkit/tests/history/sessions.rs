//! Session guarantees: histories by hand.

use std::collections::BTreeMap;

use grid_testkit::history::{Action, Checked, Guarantee, Outcome, Seen, Source, check_sessions};

use super::script::{MAP, Script, acked, broken, calls_of, op, put, remove, version};

const LOCAL: Source = Source::Local;

#[track_caller]
fn passes(script: &Script) -> Checked {
    check_sessions(&script.history())
        .unwrap_or_else(|violation| panic!("this history is good: {violation}"))
}

#[track_caller]
fn fails(script: &Script, guarantee: Guarantee, calls: usize) {
    let violation = broken(check_sessions(&script.history()), guarantee);
    assert_eq!(calls_of(&violation), calls, "{violation}");
}

/// The phone knows 1, writes 2 as op 1-2, and reads this.
fn after_own_write(fate: Option<Outcome>, seen: Seen) -> Script {
    let script = Script::default();
    script.done("laptop", put("k", 1), acked(1));
    script.read("phone", LOCAL, "k", Seen::value(1));
    let write = script.durable("phone", put("k", 2), op(1, 2));
    if let Some(fate) = fate {
        script.end(&write, fate);
    }
    script.read("phone", LOCAL, "k", seen);
    script
}

#[test]
fn a_session_reads_its_own_write_or_something_later() {
    passes(&after_own_write(None, Seen::value(2)));
    fails(
        &after_own_write(None, Seen::value(1)),
        Guarantee::ReadYourWrites,
        3,
    );
    fails(
        &after_own_write(Some(Outcome::acked()), Seen::value(1).at(version(1))),
        Guarantee::ReadYourWrites,
        3,
    );
    fails(
        &after_own_write(None, Seen::absent()),
        Guarantee::ReadYourWrites,
        2,
    );
}

#[test]
fn what_became_of_an_own_write_may_undo_it() {
    let rejected = Outcome::rejected("forbidden");
    passes(&after_own_write(Some(rejected), Seen::value(1)));
    let superseded = Outcome::Superseded { by: None };
    passes(&after_own_write(Some(superseded), Seen::value(1)));

    let crashed = Script::default();
    crashed.call("phone", put("k", 1));
    crashed.read("phone", LOCAL, "k", Seen::absent());
    passes(&crashed);
}

#[test]
fn an_own_write_gives_way_to_another_only_if_that_is_not_older() {
    let read_after = |seen: u64| {
        let script = Script::default();
        script.done("laptop", put("k", 1), acked(1));
        script.done("laptop", put("k", 3), acked(3));
        script.done("phone", put("k", 2), acked(2));
        script.read("phone", LOCAL, "k", Seen::value(seen));
        script
    };
    passes(&read_after(3));
    fails(&read_after(1), Guarantee::ReadYourWrites, 2);
}

#[test]
fn a_write_of_another_key_or_session_or_a_read_that_overlaps_binds_nothing() {
    let script = Script::default();
    script.read("laptop", LOCAL, "k", Seen::absent());
    script.done("phone", put("k", 1), Outcome::Durable);
    script.read("laptop", LOCAL, "k", Seen::absent());
    script.read("phone", LOCAL, "l", Seen::absent());
    let write = script.call("tablet", put("k", 2));
    script.read("tablet", LOCAL, "k", Seen::absent());
    script.end(&write, Outcome::Durable);
    passes(&script);
}

#[test]
fn reads_do_not_go_back() {
    let seen = |seen: &[(u64, bool)]| {
        let script = Script::default();
        script.done("phone", put("k", 1), acked(1));
        script.done("tablet", put("k", 2), acked(2));
        for (value, versioned) in seen {
            let read = Seen::value(*value);
            let read = if *versioned {
                read.at(version(*value))
            } else {
                read
            };
            script.read("laptop", LOCAL, "k", read);
        }
        script
    };
    passes(&seen(&[(1, true), (1, true), (2, true), (2, true)]));
    fails(&seen(&[(2, true), (1, true)]), Guarantee::MonotonicReads, 2);
    // The values alone tell which writes were seen, and those writes have versions.
    fails(
        &seen(&[(2, false), (1, false)]),
        Guarantee::MonotonicReads,
        2,
    );
    fails(
        &seen(&[(1, true), (2, false), (1, true)]),
        Guarantee::MonotonicReads,
        3,
    );
}

#[test]
fn without_versions_a_session_still_does_not_return_to_what_it_knew() {
    let script = Script::default();
    script.done("phone", put("k", 1), Outcome::Durable);
    script.done("tablet", put("k", 2), Outcome::Durable);
    script.read("laptop", LOCAL, "k", Seen::value(2));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    passes(&script);
    script.read("laptop", LOCAL, "k", Seen::value(1));
    passes(&script);
    script.read("laptop", LOCAL, "k", Seen::value(2));
    fails(&script, Guarantee::MonotonicReads, 3);
}

#[test]
fn of_two_calls_that_overlap_neither_comes_first() {
    let script = Script::default();
    script.done("phone", put("k", 1), Outcome::Durable);
    script.done("tablet", put("k", 2), Outcome::Durable);
    let get = script.call("laptop", Action::get(LOCAL, MAP, "k"));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    script.end(&get, Outcome::Read(Seen::value(2)));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    passes(&script);
}

#[test]
fn a_call_that_overlaps_does_not_hide_what_was_seen_before() {
    let script = Script::default();
    script.done("phone", put("k", 1), Outcome::Durable);
    script.done("tablet", put("k", 2), Outcome::Durable);
    script.read("laptop", LOCAL, "k", Seen::value(1));
    let one = script.call("laptop", Action::get(LOCAL, MAP, "k"));
    let two = script.call("laptop", Action::get(LOCAL, MAP, "k"));
    script.end(&one, Outcome::Read(Seen::value(2)));
    script.end(&two, Outcome::Read(Seen::value(1)));
    passes(&script);
    script.read("laptop", LOCAL, "k", Seen::value(1));
    fails(&script, Guarantee::MonotonicReads, 3);
}

#[test]
fn an_own_removal_before_an_own_put_does_not_explain_that_it_is_gone() {
    let script = Script::default();
    script.done("phone", remove("k"), Outcome::Durable);
    script.done("phone", put("k", 1), Outcome::Durable);
    let others = script.history();
    script.read("phone", LOCAL, "k", Seen::absent());
    fails(&script, Guarantee::ReadYourWrites, 2);

    let script = Script::after(others);
    script.done("laptop", remove("k"), Outcome::Durable);
    script.read("phone", LOCAL, "k", Seen::absent());
    passes(&script);
}

#[test]
fn what_was_seen_is_gone_only_if_somebody_removed_it() {
    let gone = |removal: Option<Outcome>| {
        let script = Script::default();
        script.done("phone", put("k", 2), acked(2));
        if let Some(fate) = removal {
            script.done("tablet", remove("k"), fate);
        }
        script.read("laptop", LOCAL, "k", Seen::value(2));
        script.read("laptop", LOCAL, "k", Seen::absent());
        script
    };
    fails(&gone(None), Guarantee::MonotonicReads, 2);
    passes(&gone(Some(Outcome::acked())));
    passes(&gone(Some(acked(3))));
    passes(&gone(Some(Outcome::Durable)));
    fails(&gone(Some(acked(1))), Guarantee::MonotonicReads, 2);
    fails(
        &gone(Some(Outcome::rejected("no"))),
        Guarantee::MonotonicReads,
        2,
    );
    fails(
        &gone(Some(Outcome::Superseded { by: None })),
        Guarantee::MonotonicReads,
        2,
    );
}

#[test]
fn what_was_removed_does_not_come_back() {
    let script = Script::default();
    script.done("phone", put("k", 1), acked(1));
    script.done("tablet", remove("k"), acked(2));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    script.read("laptop", LOCAL, "k", Seen::absent());
    passes(&script);
    script.read("laptop", LOCAL, "k", Seen::value(1));
    fails(&script, Guarantee::MonotonicReads, 3);
}

#[test]
fn nothing_and_the_tombstone_of_a_removal_are_the_same() {
    let script = Script::default();
    let removal = script.durable("phone", remove("k"), op(1, 2));
    script.end(&removal, acked(2));
    script.read("phone", LOCAL, "k", Seen::absent());
    script.read("phone", LOCAL, "k", Seen::absent().at(version(2)));
    script.read("phone", LOCAL, "k", Seen::absent());
    passes(&script);
}

#[test]
fn an_own_removal_hides_the_entry_until_it_is_refused() {
    let script = Script::default();
    script.done("phone", put("k", 1), acked(1));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    let removal = script.durable("laptop", remove("k"), op(2, 1));
    script.read("laptop", LOCAL, "k", Seen::absent());
    script.end(&removal, Outcome::rejected("forbidden"));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    passes(&script);

    let kept = Script::default();
    kept.done("phone", put("k", 1), acked(1));
    kept.read("laptop", LOCAL, "k", Seen::value(1));
    kept.durable("laptop", remove("k"), op(2, 1));
    kept.read("laptop", LOCAL, "k", Seen::value(1));
    fails(&kept, Guarantee::ReadYourWrites, 3);
}

#[test]
fn an_own_removal_that_lost_hides_the_entry_until_the_copy_catches_up() {
    let script = Script::default();
    script.done("phone", put("k", 1), acked(1));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    let removal = script.durable("laptop", remove("k"), op(2, 1));
    let by = Some(version(5));
    script.end(&removal, Outcome::Superseded { by });
    script.read("laptop", LOCAL, "k", Seen::absent());
    script.read("laptop", LOCAL, "k", Seen::value(1));
    passes(&script);
}

#[test]
fn a_pending_write_that_was_seen_binds_only_once_acked() {
    let script = Script::default();
    script.done("phone", put("k", 1), acked(1));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    let write = script.durable("laptop", put("k", 2), op(2, 1));
    script.read("laptop", LOCAL, "k", Seen::value(2));
    script.end(&write, Outcome::rejected("forbidden"));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    passes(&script);
}

#[test]
fn a_scan_reads_every_key() {
    let scan = |value: u64| {
        let entries = BTreeMap::from([("k".to_owned(), Seen::value(value))]);
        (Action::scan(LOCAL, MAP), Outcome::Scanned(entries))
    };
    let script = Script::default();
    script.done("phone", put("k", 1), acked(1));
    script.done("phone", put("k", 2), acked(2));
    for value in [1, 2] {
        let (action, outcome) = scan(value);
        script.done("laptop", action, outcome);
    }
    passes(&script);
    let (action, outcome) = scan(1);
    script.done("laptop", action, outcome);
    fails(&script, Guarantee::MonotonicReads, 3);
}

#[test]
fn writes_take_effect_in_their_order() {
    let acked_as = |first: u64, second: u64| {
        let script = Script::default();
        let one = script.call("phone", put("k", 1));
        script.end(&one, Outcome::Durable);
        let two = script.call("phone", put("k", 2));
        script.end(&two, Outcome::Durable);
        script.end(&one, acked(first));
        script.end(&two, acked(second));
        script
    };
    passes(&acked_as(1, 2));
    // The first write had returned (it was durable) when the second was called.
    fails(&acked_as(2, 1), Guarantee::MonotonicWrites, 2);

    let superseded = Script::default();
    superseded.done("phone", put("k", 1), acked(1));
    let by = Some(version(1));
    superseded.done("phone", put("k", 2), Outcome::Superseded { by });
    fails(&superseded, Guarantee::MonotonicWrites, 2);
}

#[test]
fn nobody_sees_the_writes_of_a_session_the_wrong_way_round() {
    let script = Script::default();
    script.done("phone", put("k", 1), Outcome::acked());
    script.done("phone", put("k", 2), Outcome::acked());
    script.read("laptop", LOCAL, "k", Seen::value(2));
    script.read("laptop", LOCAL, "k", Seen::value(1));
    fails(&script, Guarantee::MonotonicWrites, 4);

    // A new run after a restart has a clock of its own.
    let runs = Script::default();
    for (run, value) in [(1, 1), (2, 2)] {
        let call = runs.durable("phone", put("k", value), op(run, value));
        runs.end(&call, Outcome::acked());
    }
    runs.read("laptop", LOCAL, "k", Seen::value(2));
    runs.read("laptop", LOCAL, "k", Seen::value(1));
    passes(&runs);
}

#[test]
fn a_write_of_a_new_run_may_lose_against_the_one_before() {
    let lost = |run: u64| {
        let script = Script::default();
        script.done("phone", put("k", 1), acked(5));
        let call = script.durable("phone", put("k", 2), op(run, 9));
        let by = Some(version(5));
        script.end(&call, Outcome::Superseded { by });
        script
    };
    passes(&lost(2));
    fails(&lost(1), Guarantee::MonotonicWrites, 2);
}

#[test]
fn a_write_comes_after_what_its_session_had_read() {
    let written = |fate: Outcome| {
        let script = Script::default();
        script.done("laptop", put("k", 5), acked(5));
        script.read("phone", LOCAL, "k", Seen::value(5));
        script.done("phone", put("k", 6), fate);
        script
    };
    passes(&written(acked(6)));
    fails(&written(acked(4)), Guarantee::WritesFollowReads, 2);
    let superseded = |number| Outcome::Superseded {
        by: Some(version(number)),
    };
    passes(&written(superseded(7)));
    fails(&written(superseded(3)), Guarantee::WritesFollowReads, 2);
}

#[test]
fn what_cannot_be_told_apart_is_undecided() {
    let script = Script::default();
    script.done("phone", put("k", 1), Outcome::acked());
    script.done("tablet", put("k", 1), Outcome::acked());
    script.read("laptop", LOCAL, "k", Seen::value(1));
    let checked = passes(&script);
    assert_eq!((checked.decided, checked.undecided), (0, 3));
}

#[test]
fn reads_of_the_server_are_not_reads_of_a_copy() {
    let script = Script::default();
    script.done("phone", put("k", 1), acked(1));
    script.read("laptop", Source::Server, "k", Seen::value(1));
    script.read("laptop", LOCAL, "k", Seen::absent());
    passes(&script);
}
