//! Whether all parties end with the same.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Event, FinalState, Happening};
use super::history::History;
use super::seen::Seen;
use super::violation::{Checked, Finding, Guarantee, Violation};

/// Differing entries that a report names; it tells how many more there are.
const MAX_ENTRIES_SHOWN: usize = 8;

/// Checks that all parties that told their state of a map hold the same entries with the same
/// values, and the same versions where they tell them. A removed entry and one that never was are
/// the same. Of several states of one party and map the last one counts.
///
/// `decided` of the result counts entries.
///
/// ```
/// use std::collections::BTreeMap;
/// use grid_testkit::history::{FinalState, Recorder, Seen, check_convergence};
///
/// let holds = |value: u64| FinalState {
///     map: "lists".to_owned(),
///     entries: BTreeMap::from([("milk".to_owned(), Seen::value(value))]),
///     settled: true,
/// };
/// let recorder = Recorder::new();
/// recorder.state(90, "phone", holds(1));
/// recorder.state(90, "server", holds(1));
/// assert_eq!(check_convergence(&recorder.history())?.decided, 1);
///
/// recorder.state(91, "laptop", holds(2));
/// let violation = check_convergence(&recorder.history()).expect_err("the laptop differs");
/// assert_eq!(
///     violation.explanation,
///     "1 entry differs\n  lists/milk: 2 at laptop; 1 at phone, server"
/// );
/// # Ok::<(), grid_testkit::history::Violation>(())
/// ```
///
/// # Errors
/// What differs, by entry, with who has what. Undecided if no map is told of by two parties.
pub fn check_convergence(history: &History) -> Result<Checked, Violation> {
    let mut maps: BTreeMap<&str, BTreeMap<&str, (&Event, &FinalState)>> = BTreeMap::new();
    for event in history.events() {
        if let Happening::State(state) = &event.happening {
            let parties = maps.entry(&state.map).or_default();
            parties.insert(&event.session, (event, state));
        }
    }
    maps.retain(|_, parties| parties.len() > 1);
    if maps.is_empty() {
        return Err(Violation {
            guarantee: Guarantee::Convergence,
            finding: Finding::Undecided,
            explanation: "no map is told of by two parties".to_owned(),
            witness: Vec::new(),
        });
    }
    let mut checked = Checked::default();
    let mut lines = Vec::new();
    let mut differing: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (map, parties) in &maps {
        let states = parties.values().map(|(_, state)| *state);
        let keys: BTreeSet<&str> = states
            .flat_map(|state| state.entries.keys().map(String::as_str))
            .collect();
        checked.decided += keys.len();
        for key in keys {
            if let Some(line) = difference(key, parties) {
                lines.push(format!("  {map}/{key}: {line}"));
                differing.insert((*map, key));
            }
        }
    }
    if lines.is_empty() {
        return Ok(checked);
    }
    Err(diverged(history, &maps, lines, &differing))
}

/// Who holds what of one entry, if not all hold the same.
fn difference(key: &str, parties: &BTreeMap<&str, (&Event, &FinalState)>) -> Option<String> {
    let mut held: Vec<(Seen, Vec<&str>)> = Vec::new();
    for (party, (_, state)) in parties {
        let seen = state.entries.get(key);
        let seen = seen.filter(|seen| seen.value.is_some());
        let seen = seen.cloned().unwrap_or_else(Seen::absent);
        match held.iter_mut().find(|(other, _)| *other == seen) {
            Some((_, parties)) => parties.push(party),
            None => held.push((seen, vec![party])),
        }
    }
    let same = |one: &Seen, two: &Seen| {
        let unknown = one.version.is_none() || two.version.is_none();
        one.value == two.value && (unknown || one.version == two.version)
    };
    let mut pairs = held.iter().enumerate();
    let agree = pairs.all(|(index, (one, _))| {
        let others = held.iter().skip(index + 1);
        others.into_iter().all(|(two, _)| same(one, two))
    });
    if agree {
        return None;
    }
    let held = held.iter();
    let held = held.map(|(seen, parties)| format!("{seen} at {}", parties.join(", ")));
    Some(held.collect::<Vec<_>>().join("; "))
}

fn diverged(
    history: &History,
    maps: &BTreeMap<&str, BTreeMap<&str, (&Event, &FinalState)>>,
    mut lines: Vec<String>,
    differing: &BTreeSet<(&str, &str)>,
) -> Violation {
    let count = lines.len();
    let entries = if count == 1 {
        "entry differs"
    } else {
        "entries differ"
    };
    lines.truncate(MAX_ENTRIES_SHOWN);
    if count > lines.len() {
        lines.push(format!("  and {} more", count - lines.len()));
    }
    let told: Vec<&Event> = maps
        .values()
        .flat_map(|parties| parties.values().map(|(event, _)| *event))
        .collect();
    let events = history.events().iter();
    let witness = events
        .filter(|event| told.iter().any(|told| std::ptr::eq(*told, *event)))
        .filter_map(|event| {
            let Happening::State(state) = &event.happening else {
                return None;
            };
            let differs = |key: &str| differing.contains(&(state.map.as_str(), key));
            if !differing.iter().any(|(map, _)| *map == state.map) {
                return None;
            }
            let entries = state.entries.iter().filter(|(key, _)| differs(key));
            let entries = entries.take(MAX_ENTRIES_SHOWN);
            Some(Event {
                happening: Happening::State(FinalState {
                    entries: entries
                        .map(|(key, seen)| (key.clone(), seen.clone()))
                        .collect(),
                    ..state.clone()
                }),
                ..event.clone()
            })
        })
        .collect();
    Violation {
        guarantee: Guarantee::Convergence,
        finding: Finding::Broken,
        explanation: format!("{count} {entries}\n{}", lines.join("\n")),
        witness,
    }
}
