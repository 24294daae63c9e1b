//! Convergence: histories by hand.

use grid_testkit::history::{
    Action, FinalState, Finding, Guarantee, Happening, Seen, check_convergence,
};

use super::script::{MAP, Script, broken, version};

#[test]
fn equal_states_pass_whatever_stands_for_a_removed_entry() {
    let script = Script::default();
    script.state("phone", &[("k", Seen::value(1)), ("gone", Seen::absent())]);
    script.state("laptop", &[("k", Seen::value(1).at(version(1)))]);
    script.state("server", &[("k", Seen::value(1).at(version(1)))]);
    let checked = check_convergence(&script.history()).unwrap();
    assert_eq!(checked.decided, 2);
}

#[test]
fn the_last_state_of_a_party_counts() {
    let script = Script::default();
    script.state("phone", &[]);
    script.state("server", &[("k", Seen::value(1))]);
    script.state("phone", &[("k", Seen::value(1))]);
    check_convergence(&script.history()).unwrap();
    script.state("phone", &[("k", Seen::value(2))]);
    broken(check_convergence(&script.history()), Guarantee::Convergence);
}

#[test]
fn every_difference_is_told_with_who_has_what() {
    let script = Script::default();
    let same = ("same", Seen::value(7));
    script.state("phone", &[same.clone(), ("k", Seen::value(1))]);
    script.state("laptop", &[same.clone(), ("k", Seen::value(2))]);
    script.state(
        "server",
        &[same, ("k", Seen::value(1)), ("l", Seen::value(3))],
    );
    let violation = broken(check_convergence(&script.history()), Guarantee::Convergence);
    assert_eq!(
        violation.explanation,
        "2 entries differ\n  \
         lists/k: 2 at laptop; 1 at phone, server\n  \
         lists/l: nothing at laptop, phone; 3 at server"
    );
    assert_eq!(violation.witness.len(), 3);
    for event in &violation.witness {
        let Happening::State(state) = &event.happening else {
            panic!("{event}");
        };
        assert!(!state.entries.contains_key("same"), "{event}");
    }
}

#[test]
fn one_value_at_two_versions_is_a_difference() {
    let script = Script::default();
    script.state("phone", &[("k", Seen::value(1).at(version(1)))]);
    script.state("server", &[("k", Seen::value(1).at(version(2)))]);
    // A party that tells no version does not make the two others agree.
    script.state("laptop", &[("k", Seen::value(1))]);
    broken(check_convergence(&script.history()), Guarantee::Convergence);
}

#[test]
fn a_long_report_is_cut_and_says_so() {
    let script = Script::default();
    let keys: Vec<String> = (0..100).map(|key| format!("k{key:02}")).collect();
    let entries: Vec<_> = keys
        .iter()
        .map(|key| (key.as_str(), Seen::value(1)))
        .collect();
    script.state("phone", &entries);
    script.state("server", &[]);
    let violation = broken(check_convergence(&script.history()), Guarantee::Convergence);
    assert!(
        violation.explanation.starts_with("100 entries differ"),
        "{violation}"
    );
    assert!(
        violation.explanation.ends_with("and 92 more"),
        "{violation}"
    );
    assert!(violation.to_string().lines().count() < 20, "{violation}");
}

#[test]
fn nothing_to_compare_is_no_pass() {
    let script = Script::default();
    script.state("phone", &[("k", Seen::value(1))]);
    let map = "other".to_owned();
    let entries = [("k".to_owned(), Seen::value(2))].into();
    let state = FinalState {
        map,
        entries,
        settled: true,
    };
    script.recorder.state(9, "server", state);
    script.call("phone", Action::remove(MAP, "k"));
    let violation = check_convergence(&script.history()).unwrap_err();
    assert_eq!(violation.finding, Finding::Undecided);
}
