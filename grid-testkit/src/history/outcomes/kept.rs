//! What was acked is there at the end, or lost against something later.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::Stamp;

use super::sight::{How, Sight, final_states};
use super::traces::{at, violation};
use crate::history::event::Happening;
use crate::history::operation::{Identity, Operations, Place};
use crate::history::outcome::Outcome;
use crate::history::seen::Seen;
use crate::history::violation::{Guarantee, Violation};

pub(super) fn check(operations: &Operations<'_>, sights: &[Sight<'_>]) -> Result<(), Violation> {
    let finals: BTreeMap<(&str, Place<'_>), &Sight<'_>> = sights
        .iter()
        .filter(|sight| sight.how == How::Final)
        .map(|sight| ((sight.session, sight.place), sight))
        .collect();
    let states = final_states(operations);
    let settled = settled(operations, &states);
    let nothing = Seen::absent();
    for ((party, map), moment) in &states {
        let places = operations.writes.range((*map, "")..);
        for (place, writes) in places.take_while(|(place, _)| place.0 == *map) {
            let absent = Sight {
                how: How::Final,
                moment: *moment,
                session: party,
                place: *place,
                seen: &nothing,
            };
            let held = finals.get(&(*party, *place)).copied().unwrap_or(&absent);
            check_entry(operations, held, writes, &settled)?;
        }
    }
    Ok(())
}

/// The sessions, with maps, that have nothing more to send.
fn settled<'h>(
    operations: &Operations<'h>,
    states: &BTreeMap<(&'h str, &'h str), usize>,
) -> BTreeSet<(&'h str, &'h str)> {
    let is_settled = |moment: &usize| match operations.history.events().get(*moment) {
        Some(event) => {
            matches!(&event.happening, Happening::State(state) if state.settled)
        }
        None => false,
    };
    let settled = states.iter().filter(|(_, moment)| is_settled(moment));
    settled.map(|(party, _)| *party).collect()
}

fn check_entry(
    operations: &Operations<'_>,
    held: &Sight<'_>,
    writes: &[usize],
    settled: &BTreeSet<(&str, &str)>,
) -> Result<(), Violation> {
    let winner = operations
        .identity(held.place, held.seen)
        .and_then(|identity| operations.write_of(identity));
    if let Some(write) = winner
        && let Some(op) = operations.all.get(write)
        && op.is_superseded()
    {
        let what = format!(
            "{} ends with {} at {}, which was superseded",
            held.session,
            held.seen,
            at(held)
        );
        return Err(violation(
            operations,
            Guarantee::AckedIsKept,
            what,
            held,
            Some(write),
        ));
    }
    for write in writes {
        let Some(op) = operations.all.get(*write) else {
            continue;
        };
        let promised =
            op.is_acked() || (op.is_pending() && settled.contains(&(op.session, held.place.0)));
        // A state that was taken before the write says nothing about it.
        let told = op.end().map(|(moment, _)| moment).or(op.returned);
        if promised
            && told.is_some_and(|told| told < held.moment)
            && !is_kept(operations, held, *write, winner)
        {
            let promise = if op.is_acked() { "acked" } else { "durable" };
            let what = format!(
                "{} ends with {} at {}, but {} was {promise} and is no older",
                held.session,
                held.seen,
                at(held),
                op.name()
            );
            return Err(violation(
                operations,
                Guarantee::AckedIsKept,
                what,
                held,
                Some(*write),
            ));
        }
    }
    Ok(())
}

/// Whether this write is what is held, or may have lost against what is held.
fn is_kept(
    operations: &Operations<'_>,
    held: &Sight<'_>,
    write: usize,
    winner: Option<usize>,
) -> bool {
    let Some(op) = operations.all.get(write) else {
        return true;
    };
    let identity = operations.identity(held.place, held.seen);
    if identity.is_some() && identity == operations.identity_of(write) {
        return true;
    }
    if identity == Some(Identity::Absent) {
        // A removal leaves what is seen; anything else must have been removed since.
        let mut removals = operations.removals(held.place);
        return op.is_removal()
            || removals.any(|removal| may_be_later(operations, removal, None, write));
    }
    match (identity, winner) {
        // Several writes of one value: one of them may be it.
        (None, _) => {
            let value = held.seen.value.as_ref();
            let puts = value.map_or(&[][..], |value| operations.puts(held.place, value));
            let mut puts = puts.iter().copied();
            puts.any(|put| put == write || may_be_later(operations, put, None, write))
        }
        (Some(_), Some(winner)) => may_be_later(operations, winner, held.seen.version, write),
        (Some(_), None) => {
            let version = held.seen.version;
            version.is_none_or(|version| is_after(operations, version, write))
        }
    }
}

/// Whether the write `other` may have come out later than the write `write`.
fn may_be_later(
    operations: &Operations<'_>,
    other: usize,
    version: Option<Stamp>,
    write: usize,
) -> bool {
    let (Some(later), Some(op)) = (operations.all.get(other), operations.all.get(write)) else {
        return true;
    };
    let came_to_nothing = matches!(
        later.outcome(),
        Some(Outcome::Rejected { .. } | Outcome::Superseded { .. })
    );
    let before =
        later.session == op.session && later.may_share_run(op) && later.returned_before(op.called);
    let version = version.or_else(|| operations.version(other));
    !came_to_nothing
        && !before
        && version.is_none_or(|version| is_after(operations, version, write))
}

/// Whether this version may be later than what `write` left.
fn is_after(operations: &Operations<'_>, version: Stamp, write: usize) -> bool {
    if let Some(own) = operations.version(write) {
        return version > own;
    }
    let clock = operations.all.get(write).and_then(|op| op.clock_ms);
    clock.is_none_or(|clock| version.hlc.millis() >= clock)
}
