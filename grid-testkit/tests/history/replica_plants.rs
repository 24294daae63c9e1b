//! The model's runs with one planted violation each, which cannot be anything else: all of them
//! are found.

use std::collections::BTreeMap;

use grid_core::Stamp;
use grid_testkit::history::{
    Action, Applied, Event, Guarantee, Happening, History, Outcome, Seen, Source,
    check_convergence, check_outcomes, check_sessions,
};

use super::replica_runs::history;
use super::script::{broken, replay, seeds};

/// The seeds that every kind of violation is tried with.
const SEEDS: std::ops::Range<u64> = 0..300;

/// In so many of the runs there must be a place for a violation.
const LEAST: usize = 15;

/// Plants a violation into the events of as many runs as have a place for it, and asserts that
/// `check` names one of the guarantees.
fn plant<T: std::fmt::Debug>(
    plant: impl Fn(&mut Vec<Event>) -> Option<()>,
    check: impl Fn(&History) -> Result<T, grid_testkit::history::Violation>,
    guarantees: &[Guarantee],
) {
    let (mut planted, seeds) = (0, seeds(SEEDS));
    for seed in &seeds {
        let mut events = history(*seed).events().to_vec();
        if plant(&mut events).is_none() {
            continue;
        }
        planted += 1;
        let Err(violation) = check(&events.into_iter().collect()) else {
            panic!("a planted violation passes; {}", replay(*seed));
        };
        assert!(
            guarantees.contains(&violation.guarantee),
            "{violation}\n{}",
            replay(*seed)
        );
        broken::<()>(Err(violation.clone()), violation.guarantee);
        assert!(violation.witness.len() <= 12, "{violation}");
    }
    assert!(
        planted >= LEAST || seeds.len() == 1,
        "only {planted} were planted"
    );
}

/// The states at the end, by event.
fn states(events: &mut [Event]) -> impl Iterator<Item = &mut BTreeMap<String, Seen>> {
    events
        .iter_mut()
        .filter_map(|event| match &mut event.happening {
            Happening::State(state) => Some(&mut state.entries),
            _ => None,
        })
}

/// A write: its key, what it put, its session, and its fate.
type Write = (String, Option<Seen>, String, Option<Outcome>);

fn writes(events: &[Event]) -> Vec<Write> {
    let calls = events.iter().filter_map(|event| match &event.happening {
        Happening::Call { number, action, .. } => match action {
            Action::Put { key, value, .. } => {
                let seen = Seen {
                    value: Some(value.clone()),
                    version: None,
                };
                Some((event, *number, key.clone(), Some(seen)))
            }
            Action::Remove { key, .. } => Some((event, *number, key.clone(), None)),
            _ => None,
        },
        _ => None,
    });
    let with_fates = calls.map(|(call, number, key, seen)| {
        let fate = events.iter().find_map(|event| match &event.happening {
            Happening::Return {
                number: of,
                outcome,
                ..
            } if *of == number && event.session == call.session && outcome.is_fate() => {
                Some(outcome.clone())
            }
            _ => None,
        });
        (key, seen, call.session.clone(), fate)
    });
    with_fates.collect()
}

#[test]
fn an_entry_that_one_party_lost_is_found() {
    plant(
        |events| {
            let mut states = states(events).skip(1);
            states.next()?.pop_first().map(drop)
        },
        check_convergence,
        &[Guarantee::Convergence],
    );
}

#[test]
fn an_entry_that_nobody_wrote_is_found() {
    plant(
        |events| {
            let entries = states(events).next()?;
            entries.insert("k0".to_owned(), Seen::value("nobody's"));
            Some(())
        },
        check_outcomes,
        &[Guarantee::NothingFromNowhere],
    );
}

#[test]
fn an_acked_write_that_lost_against_an_older_one_is_found() {
    plant(
        |events| {
            let acked = |fate: &Option<Outcome>| match fate {
                Some(Outcome::Acked { version }) => *version,
                _ => None,
            };
            let writes = writes(events);
            let old = writes.iter().find_map(|(key, seen, _, fate)| {
                let (seen, version) = (seen.clone()?, acked(fate)?);
                let beaten = writes
                    .iter()
                    .any(|other| other.0 == *key && acked(&other.3).is_some_and(|v| v > version));
                beaten.then(|| (key.clone(), seen.at(version)))
            });
            let (key, seen) = old?;
            for entries in states(events) {
                entries.insert(key.clone(), seen.clone());
            }
            Some(())
        },
        check_outcomes,
        &[Guarantee::AckedIsKept],
    );
}

#[test]
fn a_rejected_write_that_stayed_is_found() {
    plant(
        |events| {
            let writes = writes(events);
            let rejected = writes.into_iter().find_map(|(key, seen, _, fate)| {
                matches!(fate, Some(Outcome::Rejected { .. })).then_some((key, seen?))
            });
            let (key, seen) = rejected?;
            states(events).last()?.insert(key, seen);
            Some(())
        },
        check_outcomes,
        &[Guarantee::RejectedLeavesNoTrace],
    );
}

#[test]
fn an_op_that_was_applied_twice_is_found() {
    plant(
        |events| {
            let again = events.iter().find_map(|event| match &event.happening {
                Happening::Applied(applied) => Some(Event {
                    happening: Happening::Applied(Applied {
                        sequence: applied.sequence + 1000,
                        ..applied.clone()
                    }),
                    ..event.clone()
                }),
                _ => None,
            });
            events.push(again?);
            Some(())
        },
        check_outcomes,
        &[Guarantee::AppliedOnce],
    );
}

#[test]
fn a_second_fate_is_found() {
    plant(
        |events| {
            let told = events.iter().find_map(|event| match &event.happening {
                Happening::Return {
                    number,
                    outcome: Outcome::Acked { .. },
                    ..
                } => Some(Event {
                    happening: Happening::Return {
                        number: *number,
                        outcome: Outcome::rejected("forbidden"),
                        id: None,
                    },
                    ..event.clone()
                }),
                _ => None,
            });
            events.push(told?);
            Some(())
        },
        check_outcomes,
        &[Guarantee::OneFate],
    );
}

/// A read of a session's own copy: where it returned, and what it saw.
struct Read {
    at: usize,
    session: String,
    key: String,
    seen: Seen,
}

fn reads(events: &[Event]) -> Vec<Read> {
    let mut open = BTreeMap::new();
    let mut reads = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match &event.happening {
            Happening::Call {
                number,
                action: Action::Get { key, from, .. },
                ..
            } if *from == Source::Local => {
                open.insert((event.session.clone(), *number), key.clone());
            }
            Happening::Return {
                number,
                outcome: Outcome::Read(seen),
                ..
            } => {
                let key = open.remove(&(event.session.clone(), *number));
                reads.extend(key.map(|key| Read {
                    at,
                    session: event.session.clone(),
                    key,
                    seen: seen.clone(),
                }));
            }
            _ => {}
        }
    }
    reads
}

/// Whether this is a version of a write, and of none of the session itself.
fn foreign(read: &Read) -> Option<Stamp> {
    let version = read
        .seen
        .version
        .filter(|version| *version != Stamp::ZERO)?;
    let own = read.session == format!("device {}", version.op.run.0.saturating_sub(1));
    (!own).then_some(version)
}

fn replace(events: &mut [Event], at: usize, with: Seen) -> Option<()> {
    let Happening::Return { outcome, .. } = &mut events.get_mut(at)?.happening else {
        return None;
    };
    *outcome = Outcome::Read(with);
    Some(())
}

const WENT_BACK: [Guarantee; 3] = [
    Guarantee::MonotonicReads,
    Guarantee::ReadYourWrites,
    Guarantee::MonotonicWrites,
];

#[test]
fn a_read_that_goes_back_is_found_with_versions() {
    went_back(true);
}

#[test]
fn a_read_that_goes_back_is_found_without_versions() {
    went_back(false);
}

/// A session sees one version, then a later one of somebody else, then the first again.
fn went_back(versions: bool) {
    plant(
        |events| {
            let reads = reads(events);
            let triple = reads.iter().enumerate().find_map(|(index, second)| {
                let later = foreign(second)?;
                let same = |read: &&Read| read.session == second.session && read.key == second.key;
                let mut before = reads[..index].iter().filter(same);
                let first = before.find(|first| {
                    let earlier = foreign(first);
                    first.seen.value.is_some() && earlier.is_some_and(|first| first < later)
                })?;
                let third = reads[index + 1..].iter().find(same)?;
                Some((third.at, first.seen.clone()))
            });
            let (at, mut seen) = triple?;
            if !versions {
                seen.version = None;
            }
            replace(events, at, seen)
        },
        check_sessions,
        &WENT_BACK,
    );
}

#[test]
fn a_read_that_misses_an_own_write_is_found() {
    plant(
        |events| {
            let reads = reads(events);
            let writes = writes(events);
            let pair = reads.iter().enumerate().find_map(|(index, second)| {
                // An own put that was seen, and acked.
                let own = writes.iter().any(|(key, seen, session, fate)| {
                    let same = *key == second.key && *session == second.session;
                    let value = seen.as_ref().and_then(|seen| seen.value.as_ref());
                    let acked = matches!(fate, Some(Outcome::Acked { .. }));
                    same && acked && value.is_some() && value == second.seen.value.as_ref()
                });
                let same = |read: &&Read| read.session == second.session && read.key == second.key;
                let first = reads[..index].iter().find(same)?;
                let known = first.seen.value.is_some() && foreign(first).is_some();
                (own && known).then(|| (second.at, first.seen.clone()))
            });
            let (at, seen) = pair?;
            replace(events, at, seen)
        },
        check_sessions,
        &WENT_BACK,
    );
}
