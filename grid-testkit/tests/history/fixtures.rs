//! Histories as files: each is judged by every checker.

use std::collections::BTreeSet;

use grid_testkit::history::{
    Guarantee, History, check_convergence, check_linearizable, check_outcomes, check_sessions,
};

use super::script::broken;

/// What each file breaks; nothing for those that are good.
const FIXTURES: [(&str, &str, &[Guarantee]); 7] = [
    (
        "two devices, a cut, a crash",
        include_str!("fixtures/good.jsonl"),
        &[],
    ),
    (
        "the server acks two writes to one version",
        include_str!("fixtures/bad-two-winners.jsonl"),
        &[Guarantee::Linearizability, Guarantee::AckedIsKept],
    ),
    (
        "a device shows an old entry after its own write",
        include_str!("fixtures/bad-own-write-gone.jsonl"),
        &[Guarantee::ReadYourWrites],
    ),
    (
        "a deleted entry comes back by a late, older put",
        include_str!("fixtures/bad-resurrected.jsonl"),
        &[Guarantee::MonotonicReads, Guarantee::AckedIsKept],
    ),
    (
        "two devices never agree",
        include_str!("fixtures/bad-diverged.jsonl"),
        &[Guarantee::Convergence],
    ),
    (
        "a refused write stays on the server",
        include_str!("fixtures/bad-trace.jsonl"),
        &[Guarantee::RejectedLeavesNoTrace],
    ),
    (
        "an op that was sent again is applied again",
        include_str!("fixtures/bad-applied-twice.jsonl"),
        &[Guarantee::AppliedOnce],
    ),
];

#[test]
fn every_file_breaks_just_what_it_says() {
    for (name, lines, expected) in FIXTURES {
        let history = History::from_json_lines(lines).unwrap_or_else(|error| {
            panic!("{name}: {error}");
        });
        let results = [
            check_linearizable(&history).map(drop),
            check_sessions(&history).map(drop),
            check_convergence(&history).map(drop),
            check_outcomes(&history).map(drop),
        ];
        let mut found = BTreeSet::new();
        for result in results {
            if let Err(violation) = &result {
                found.insert(violation.guarantee);
                broken(result.clone(), violation.guarantee);
            }
        }
        let expected: BTreeSet<Guarantee> = expected.iter().copied().collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_files_are_in_the_form_that_is_written() {
    for (name, lines, _) in FIXTURES {
        let history = History::from_json_lines(lines).unwrap();
        assert_eq!(history.to_json_lines(), lines, "{name}");
    }
}
