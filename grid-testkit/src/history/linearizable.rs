//! Linearizability of what the server does with each key.
//!
//! The search is that of Wing and Gong (1993, "Testing and Verifying Concurrent Objects") with
//! Lowe's memory of configurations (2017, "Testing for linearizability"), made for each key by
//! itself, which is enough because linearizability is local (Herlihy and Wing 1990).

use std::collections::{BTreeMap, BTreeSet};

use super::action::Source;
use super::history::History;
use super::operation::{Operations, Place};
use super::outcome::{Outcome, VERSION_MISMATCH};
use super::violation::{Checked, Finding, Guarantee, Violation};

mod demand;
mod observers;
mod register;
mod search;
mod waiting;
mod witness;

use register::{Does, Step, Wanted};
use search::{Answer, judge};

/// Configurations (which operations have taken effect, and the state that they leave) that
/// [`check_linearizable`] visits for one key before it gives up.
///
/// A key of a real run takes about one for each of its operations. Many more are needed only
/// where many writes overlap whose versions nobody recorded.
pub const MAX_CONFIGURATIONS: usize = 200_000;

/// Checks that each key behaves as if every operation at the server took effect in one instant
/// between its call and its end.
///
/// - **Writes** (put, remove) take effect between the call and the ack. One with `if_version`
///   takes effect only on exactly that version. A write that was never acked may take effect at
///   any time after its call, or never.
/// - **Versions** of one key only grow: where the versions of two writes are known, the later one
///   took effect later.
/// - **Reads** with [`Source::Server`] see the state of their instant: its value and, where both
///   are known, its version. A scan is a read of each key for itself.
/// - A write that was **superseded** saw the version that it lost against, if that is known; one
///   that was **rejected** for its `if_version` saw another version. Other rejections, and reads
///   of local copies, have no part in it.
/// - In the beginning no entry exists. Record a put for what was there before the run, and a
///   remove without a return for an entry that expires.
///
/// `decided` of the result counts the operations that were checked.
///
/// ```
/// use grid_testkit::history::{Action, Guarantee, Outcome, Recorder, Seen, Source};
/// use grid_testkit::history::check_linearizable;
///
/// let recorder = Recorder::new();
/// let put = recorder.call(10, "phone", Action::put("lists", "milk", 1));
/// let early = recorder.call(11, "laptop", Action::get(Source::Server, "lists", "milk"));
/// recorder.returned(12, &early, Outcome::Read(Seen::value(1)));
/// let late = recorder.call(13, "laptop", Action::get(Source::Server, "lists", "milk"));
/// recorder.returned(20, &put, Outcome::acked());
///
/// let mut lost = Recorder::from(recorder.history());
/// recorder.returned(30, &late, Outcome::Read(Seen::value(1)));
/// assert_eq!(check_linearizable(&recorder.history())?.decided, 3);
///
/// // What was seen once cannot be gone again.
/// lost.returned(30, &late, Outcome::Read(Seen::absent()));
/// let violation = check_linearizable(&lost.history()).expect_err("the second read goes back");
/// assert_eq!(violation.guarantee, Guarantee::Linearizability);
/// # Ok::<(), grid_testkit::history::Violation>(())
/// ```
///
/// # Errors
/// The first key, in the order of maps and keys, that is not linearizable, with a smallest set of
/// operations that cannot be explained; else the first that was not decided within
/// [`MAX_CONFIGURATIONS`].
pub fn check_linearizable(history: &History) -> Result<Checked, Violation> {
    check_linearizable_within(history, MAX_CONFIGURATIONS)
}

/// As [`check_linearizable`], with another bound on the configurations that are visited for one
/// key. Without optimisation, a configuration takes about 20 µs: 10,000 operations, even on a
/// single key, some tenths of a second.
///
/// ```
/// use grid_testkit::history::{Action, Finding, Outcome, Recorder, check_linearizable_within};
///
/// let recorder = Recorder::new();
/// let put = recorder.call(10, "phone", Action::put("lists", "milk", 1));
/// recorder.returned(20, &put, Outcome::acked());
/// let gave_up = check_linearizable_within(&recorder.history(), 0).expect_err("no step allowed");
/// assert_eq!(gave_up.finding, Finding::Undecided);
/// ```
///
/// # Errors
/// As [`check_linearizable`].
pub fn check_linearizable_within(
    history: &History,
    max_configurations: usize,
) -> Result<Checked, Violation> {
    let operations = Operations::of(history)?;
    let mut checked = Checked::default();
    let mut undecided = None;
    for (place, steps) in steps_by_place(&operations) {
        checked.decided += steps.len();
        match judge(&steps, max_configurations) {
            Answer::Linearizable => {}
            Answer::NotLinearizable => {
                return Err(not_linearizable(
                    &operations,
                    place,
                    &steps,
                    max_configurations,
                ));
            }
            Answer::Undecided => undecided = undecided.or(Some((place, steps))),
        }
    }
    match undecided {
        None => Ok(checked),
        Some(((map, key), steps)) => Err(Violation {
            guarantee: Guarantee::Linearizability,
            finding: Finding::Undecided,
            explanation: format!(
                "{map}/{key}: no explanation of its {} operations among the first \
                 {max_configurations} configurations",
                steps.len()
            ),
            witness: Vec::new(),
        }),
    }
}

fn not_linearizable(
    operations: &Operations<'_>,
    (map, key): Place<'_>,
    steps: &[Step<'_>],
    max_configurations: usize,
) -> Violation {
    let smallest = witness::smallest(steps, max_configurations);
    let ops: Vec<usize> = smallest.iter().map(|step| step.op).collect();
    let explanation = format!(
        "{map}/{key}: no order of these {} operations (of {}) explains what they returned",
        ops.len(),
        steps.len()
    );
    operations.broken(Guarantee::Linearizability, explanation, &ops, &[])
}

/// What was done to every entry at the server, in the order of calls.
fn steps_by_place<'h>(operations: &Operations<'h>) -> BTreeMap<Place<'h>, Vec<Step<'h>>> {
    let mut steps: BTreeMap<Place<'h>, Vec<Step<'h>>> = BTreeMap::new();
    for (index, op) in operations.all.iter().enumerate() {
        if let Some(place) = op.place()
            && let Some(step) = step_of(operations, index, place)
        {
            steps.entry(place).or_default().push(step);
        }
    }
    for (index, op) in operations.all.iter().enumerate() {
        let Some(Outcome::Scanned(entries)) = op.outcome() else {
            continue;
        };
        let map = op.action.map();
        let known = steps.keys().filter(|place| place.0 == map).copied();
        let scanned = entries.keys().map(|key| (map, key.as_str()));
        let places: BTreeSet<Place<'h>> = known.chain(scanned).collect();
        for place in places {
            if let Some(step) = step_of(operations, index, place) {
                steps.entry(place).or_default().push(step);
            }
        }
    }
    for steps in steps.values_mut() {
        steps.sort_by_key(|step| step.called);
    }
    steps
}

/// What one operation did to one entry at the server; none if nothing that could be checked.
fn step_of<'h>(operations: &Operations<'h>, index: usize, place: Place<'h>) -> Option<Step<'h>> {
    let op = operations.all.get(index)?;
    let (ended, does) = if op.action.is_write() {
        let write = Does::Write {
            value: op.action.value(),
            version: operations.version(index),
            id: op.id,
            expected: op.action.expected().map(Wanted::from),
        };
        match op.end() {
            None => (None, write),
            Some((moment, Outcome::Acked { .. })) => (Some(moment), write),
            Some((moment, Outcome::Superseded { by })) => (Some(moment), Does::Lose((*by)?.into())),
            Some((moment, Outcome::Rejected { reason })) if reason == VERSION_MISMATCH => {
                (Some(moment), Does::Mismatch(op.action.expected()?.into()))
            }
            Some(_) => return None,
        }
    } else {
        let seen = op.reads(place)?;
        (op.action.source() == Some(Source::Server)).then_some(())?;
        let version = seen.version.map(Wanted::from);
        let value = seen.value;
        (op.returned, Does::Read { value, version })
    };
    Some(Step {
        op: index,
        called: op.called,
        ended,
        does,
    })
}
