//! Linearizability: histories by hand.

use std::collections::BTreeMap;

use grid_core::Stamp;
use grid_core::protocol::RejectReason;
use grid_testkit::history::{
    Action, Finding, Guarantee, Outcome, Seen, Source, check_linearizable,
    check_linearizable_within,
};

use super::script::{MAP, Script, acked, broken, calls_of, op, put, remove, version};

const SERVER: Source = Source::Server;

fn passes(script: &Script) -> usize {
    check_linearizable(&script.history())
        .unwrap_or_else(|violation| panic!("this history is good: {violation}"))
        .decided
}

/// The history is bad, and the witness has this many calls.
#[track_caller]
fn fails(script: &Script, calls: usize) {
    let violation = broken(
        check_linearizable(&script.history()),
        Guarantee::Linearizability,
    );
    assert_eq!(calls_of(&violation), calls, "{violation}");
}

#[test]
fn overlapping_reads_may_see_a_write_or_not_but_in_one_order() {
    let script = Script::default();
    let write = script.call("a", put("k", 1));
    script.read("b", SERVER, "k", Seen::absent());
    script.read("c", SERVER, "k", Seen::value(1));
    script.end(&write, Outcome::acked());
    script.read("b", SERVER, "k", Seen::value(1));
    assert_eq!(passes(&script), 4);

    let back = Script::default();
    let write = back.call("a", put("k", 1));
    back.read("b", SERVER, "k", Seen::value(1));
    back.read("c", SERVER, "k", Seen::absent());
    back.end(&write, Outcome::acked());
    fails(&back, 3);
}

#[test]
fn a_read_after_an_ack_sees_it() {
    let stale = Script::default();
    stale.done("a", put("k", 1), Outcome::acked());
    stale.done("a", put("k", 2), Outcome::acked());
    stale.read("b", SERVER, "k", Seen::value(1));
    fails(&stale, 3);

    let lost = Script::default();
    lost.done("a", put("k", 1), Outcome::acked());
    lost.read("b", SERVER, "k", Seen::absent());
    fails(&lost, 2);
}

#[test]
fn nothing_is_read_before_it_is_written() {
    let script = Script::default();
    script.read("b", SERVER, "k", Seen::value(1));
    script.done("a", put("k", 1), Outcome::acked());
    fails(&script, 1);
}

#[test]
fn an_unknown_write_comes_at_any_time_or_never_but_does_not_go_again() {
    let never = Script::default();
    never.call("a", put("k", 1));
    never.read("b", SERVER, "k", Seen::absent());
    passes(&never);

    let late = Script::default();
    late.call("a", put("k", 1));
    late.done("b", put("k", 2), Outcome::acked());
    late.read("b", SERVER, "k", Seen::value(2));
    late.read("b", SERVER, "k", Seen::value(1));
    passes(&late);
    late.read("b", SERVER, "k", Seen::value(2));
    fails(&late, 4);
}

#[test]
fn a_durable_write_without_an_ack_is_unknown_at_the_server() {
    let script = Script::default();
    script.durable("a", put("k", 1), op(1, 1));
    script.read("b", SERVER, "k", Seen::absent());
    script.read("b", SERVER, "k", Seen::value(1));
    passes(&script);
}

#[test]
fn a_removed_entry_does_not_return_by_itself() {
    let script = Script::default();
    script.done("a", put("k", 1), Outcome::acked());
    script.done("a", remove("k"), Outcome::acked());
    script.read("b", SERVER, "k", Seen::absent());
    passes(&script);
    script.read("b", SERVER, "k", Seen::value(1));
    fails(&script, 3);
}

#[test]
fn of_two_writes_to_one_version_only_one_is_made() {
    let script = Script::default();
    script.done("a", put("k", 1), acked(1));
    let one = script.call("a", put("k", 2).if_version(version(1)));
    let two = script.call("b", put("k", 3).if_version(version(1)));
    script.end(&one, acked(2));
    let refused = Script::after(script.history());
    script.end(&two, acked(3));
    // Both, and the write of the version that both asked for.
    fails(&script, 3);

    refused.end(&two, Outcome::rejected(RejectReason::VersionMismatch));
    refused.read("b", SERVER, "k", Seen::value(2).at(version(2)));
    passes(&refused);
}

#[test]
fn a_mismatch_needs_another_version() {
    let script = Script::default();
    script.done("a", put("k", 1), acked(1));
    let mismatch = Outcome::rejected(RejectReason::VersionMismatch);
    script.done("b", put("k", 2).if_version(Stamp::ZERO), mismatch.clone());
    passes(&script);
    script.done("b", put("k", 2).if_version(version(1)), mismatch);
    fails(&script, 2);
}

#[test]
fn a_removed_entry_can_be_created_but_not_edited() {
    let script = Script::default();
    script.done("a", put("k", 1), acked(1));
    script.done("a", remove("k"), acked(2));
    script.done("b", put("k", 3).if_version(Stamp::ZERO), acked(3));
    passes(&script);

    let edited = Script::default();
    edited.done("a", put("k", 1), acked(1));
    edited.done("a", remove("k"), acked(2));
    edited.done("b", put("k", 3).if_version(version(2)), acked(3));
    fails(&edited, 1);
}

#[test]
fn versions_only_grow() {
    let script = Script::default();
    let late = script.call("a", put("k", 9));
    script.done("b", put("k", 2), acked(2));
    script.end(&late, acked(9));
    script.read("b", SERVER, "k", Seen::value(9));
    passes(&script);

    let overwritten = Script::default();
    let late = overwritten.call("a", put("k", 9));
    overwritten.done("b", put("k", 2), acked(2));
    overwritten.end(&late, acked(9));
    overwritten.read("b", SERVER, "k", Seen::value(2));
    fails(&overwritten, 3);

    // Arrival order wins over the clock: the older write is acked although it came last.
    let arrival = Script::default();
    arrival.done("a", put("k", 9), acked(9));
    arrival.done("b", put("k", 2), acked(2));
    fails(&arrival, 2);
}

#[test]
fn a_read_shows_the_version_that_was_acked() {
    let script = Script::default();
    script.done("a", put("k", 1), acked(1));
    script.read("b", SERVER, "k", Seen::value(1).at(version(1)));
    passes(&script);
    script.read("b", SERVER, "k", Seen::value(1).at(version(2)));
    fails(&script, 1);
}

#[test]
fn a_superseded_write_met_what_beat_it() {
    let script = Script::default();
    script.done("a", put("k", 5), acked(5));
    script.done(
        "b",
        put("k", 2),
        Outcome::Superseded {
            by: Some(version(5)),
        },
    );
    script.read("b", SERVER, "k", Seen::value(5));
    passes(&script);
    script.read("b", SERVER, "k", Seen::value(2));
    fails(&script, 1);

    let too_early = Script::default();
    too_early.done(
        "b",
        put("k", 2),
        Outcome::Superseded {
            by: Some(version(5)),
        },
    );
    too_early.done("a", put("k", 5), acked(5));
    fails(&too_early, 1);
}

#[test]
fn a_scan_reads_every_key_of_its_map() {
    let scanned = |entries: &[(&str, u64)]| {
        let entries = entries.iter();
        let entries = entries.map(|(key, value)| ((*key).to_owned(), Seen::value(*value)));
        Outcome::Scanned(entries.collect::<BTreeMap<_, _>>())
    };
    let script = Script::default();
    script.done("a", put("k1", 1), Outcome::acked());
    script.done("a", put("k2", 2), Outcome::acked());
    script.done("a", Action::put("other", "k3", 3), Outcome::acked());
    let all = [("k1", 1), ("k2", 2)];
    script.done("b", Action::scan(SERVER, MAP), scanned(&all));
    passes(&script);
    script.done("b", Action::scan(SERVER, MAP), scanned(&all[..1]));
    fails(&script, 2);
}

#[test]
fn local_copies_may_be_behind() {
    let script = Script::default();
    script.done("a", put("k", 1), Outcome::acked());
    script.read("b", Source::Local, "k", Seen::absent());
    assert_eq!(passes(&script), 1);
}

#[test]
fn keys_and_maps_have_nothing_to_do_with_each_other() {
    let script = Script::default();
    script.done("a", put("k", 1), Outcome::acked());
    script.read("b", SERVER, "l", Seen::absent());
    let other = Action::get(SERVER, "other", "k");
    script.done("b", other, Outcome::Read(Seen::absent()));
    assert_eq!(passes(&script), 3);
}

#[test]
fn the_witness_is_small_however_long_the_history() {
    let script = Script::default();
    for value in 0..300 {
        script.done("a", put("k", value), Outcome::acked());
        script.read("b", SERVER, "k", Seen::value(value));
        script.done("a", put("l", value), Outcome::acked());
    }
    script.read("b", SERVER, "k", Seen::value(100));
    for value in 300..400 {
        script.done("a", put("k", value), Outcome::acked());
    }
    // The write of 100, some later write, and the read.
    fails(&script, 3);
}

#[test]
fn a_write_that_was_under_way_is_not_held_against_what_had_happened() {
    let script = Script::default();
    let open = script.call("b", put("k", 2).if_version(version(1)));
    script.read("r", SERVER, "k", Seen::absent());
    script.read("r", SERVER, "k", Seen::absent());
    script.done("a", put("k", 1), acked(1));
    script.end(&open, acked(2));
    passes(&script);
    script.read("r", SERVER, "k", Seen::value(1));
    // Not the write of 2 alone, as if it should have been made when nothing was there.
    fails(&script, 3);
}

/// Writes that all overlap, of which every order is possible, and a read that none explains.
fn hard(writes: u64) -> Script {
    let script = Script::default();
    let calls: Vec<_> = (0..writes)
        .map(|value| script.call(&format!("s{value}"), put("k", value)))
        .collect();
    for call in &calls {
        script.end(call, Outcome::acked());
    }
    script.read("r", SERVER, "k", Seen::value(0));
    script.read("r", SERVER, "k", Seen::value(1));
    script
}

#[test]
fn what_is_too_hard_is_undecided_and_no_pass() {
    let result = check_linearizable_within(&hard(40).history(), 2_000);
    let violation = result.expect_err("the bound is passed");
    assert_eq!(violation.finding, Finding::Undecided, "{violation}");
    assert_eq!(violation.guarantee, Guarantee::Linearizability);
    broken(
        check_linearizable(&hard(8).history()),
        Guarantee::Linearizability,
    );
}

#[test]
fn a_broken_key_is_told_even_if_another_is_undecided() {
    let script = hard(40);
    script.done("a", put("z", 1), Outcome::acked());
    script.read("b", SERVER, "z", Seen::absent());
    let result = check_linearizable_within(&script.history(), 2_000);
    let violation = broken(result, Guarantee::Linearizability);
    assert!(violation.explanation.starts_with("lists/z"), "{violation}");
}

#[test]
fn a_history_that_makes_no_sense_is_refused() {
    let twice = Script::default();
    let get = twice.read("a", SERVER, "k", Seen::absent());
    twice.end(&get, Outcome::Read(Seen::absent()));
    broken(check_linearizable(&twice.history()), Guarantee::WellFormed);

    let odd = Script::default();
    odd.done("a", put("k", 1), Outcome::Read(Seen::absent()));
    broken(check_linearizable(&odd.history()), Guarantee::WellFormed);

    let uncalled = Script::default();
    let call = Script::default().call("a", put("k", 1));
    uncalled.end(&call, Outcome::acked());
    broken(
        check_linearizable(&uncalled.history()),
        Guarantee::WellFormed,
    );

    let stranger = Script::default();
    let rejected = Outcome::rejected("forbidden");
    stranger.recorder.learned(1, "a", op(1, 1), rejected);
    broken(
        check_linearizable(&stranger.history()),
        Guarantee::WellFormed,
    );
}
