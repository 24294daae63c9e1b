//! The judge.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::{OpId, Stamp};

use super::evidence::{Evidence, Held, Place, State};
use super::ledger::{Told, Write};
use super::stream::Stream;
use super::verdict::Verdict;

#[cfg(test)]
mod tests;

/// Says what came of a run.
///
/// - **Lost**: an op that a client was told took effect is neither what the server, or the
///   database, holds of its entry, nor can what they hold be later. Later is told by the versions
///   that the stream showed, and among ops of one client by their order. Or: partitions have gone
///   through fewer changes than ops took effect.
/// - **Doubled**: an op stands under two sequences in the stream; or partitions have gone through
///   more changes than ops took effect. The second counts what no subscriber happened to see.
/// - **Diverged**: server and database, or server and a client, do not hold the same; an entry is
///   what nobody wrote, or what its writer was told had no effect; a place of a partition's order
///   had two ops, or the subscriber was not shown what stands there; an op was never answered, or
///   refused; the database refused a version.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let by_place = ops_by_place(evidence, &mut verdict);
    find_lost(evidence, &by_place, &mut verdict);
    count_changes(evidence, &mut verdict);
    for finding in evidence.stream.doubled() {
        verdict.doubled(finding);
    }
    for finding in evidence.stream.rewritten() {
        verdict.diverged(finding);
    }
    if let Some(place) = evidence.stream.lacks(evidence.server) {
        verdict.diverged(format!("no subscriber was shown what is at {place:?}"));
    }
    compare(evidence, &mut verdict);
    for trouble in evidence.ledger.troubles() {
        verdict.diverged(trouble);
    }
    if evidence.database.dead_letters > 0 {
        let letters = evidence.database.dead_letters;
        verdict.diverged(format!("the database refused {letters} versions for good"));
    }
    verdict
}

/// An op with what its client was told.
struct Op {
    id: OpId,
    write: Write,
    acked: bool,
    /// The version that it wrote, if the stream showed it.
    stamp: Option<Stamp>,
}

impl Op {
    /// Whether it comes after the version that `stamp` names, as far as that can be told.
    fn is_later_than(&self, stamp: Stamp) -> Option<bool> {
        match self.stamp {
            Some(own) => Some(own > stamp),
            None if self.id.run == stamp.op.run => Some(self.id.number > stamp.op.number),
            None => None,
        }
    }
}

fn ops_by_place(evidence: &Evidence<'_>, verdict: &mut Verdict) -> BTreeMap<Place, Vec<Op>> {
    let mut by_place: BTreeMap<Place, Vec<Op>> = BTreeMap::new();
    for (id, write, told) in evidence.ledger.ops() {
        let acked = match told {
            Some(Told::Acked) => true,
            Some(Told::Superseded(_)) => false,
            Some(Told::Refused(why)) => {
                verdict.diverged(format!("{} was refused: {why}", describe(id, &write)));
                false
            }
            None => {
                verdict.diverged(format!("{} was never answered", describe(id, &write)));
                continue;
            }
        };
        verdict.acked += u64::from(acked);
        let stamp = stamp_of(evidence.stream, id);
        let op = Op {
            id,
            acked,
            stamp,
            write,
        };
        let place = op.write.place.clone();
        by_place.entry(place).or_default().push(op);
    }
    by_place
}

fn stamp_of(stream: &Stream, id: OpId) -> Option<Stamp> {
    stream.stamp(id)
}

/// A party that has to hold what was acknowledged.
struct Party<'a> {
    name: &'static str,
    state: &'a State,
    /// Whether it shows tombstones, so that nothing at all may be absent.
    shows_tombstones: bool,
}

fn find_lost(evidence: &Evidence<'_>, by_place: &BTreeMap<Place, Vec<Op>>, verdict: &mut Verdict) {
    let parties = [
        Party {
            name: "the server",
            state: &evidence.server.state,
            shows_tombstones: false,
        },
        Party {
            name: "the database",
            state: &evidence.database.state,
            shows_tombstones: true,
        },
    ];
    let mut lost = BTreeSet::new();
    for party in &parties {
        for (place, ops) in by_place {
            for op in party.lacks(place, ops) {
                // An op that both lack is one that is lost.
                if lost.insert(op.id) {
                    let what = describe(op.id, &op.write);
                    verdict.lost(format!("{what} is not in {}", party.name));
                }
            }
            party.check_origin(place, ops, verdict);
        }
        for place in party
            .state
            .keys()
            .filter(|place| !by_place.contains_key(*place))
        {
            let Party { name, .. } = party;
            verdict.diverged(format!("{name} holds {place:?}, which nobody wrote"));
        }
    }
}

impl Party<'_> {
    /// The acknowledged ops of an entry that can be neither what is there nor older than it.
    fn lacks<'o>(&self, place: &Place, ops: &'o [Op]) -> Vec<&'o Op> {
        let acked = ops.iter().filter(|op| op.acked);
        match self.state.get(place) {
            Some(held) => acked
                .filter(|op| op.id != held.stamp.op)
                .filter(|op| op.is_later_than(held.stamp) == Some(true))
                .collect(),
            None if self.shows_tombstones => acked.collect(),
            None => acked
                .filter(|op| op.write.value.is_some() && !was_removed_after(op, ops))
                .collect(),
        }
    }

    /// What is there was written by somebody, with this value, and they were not told otherwise.
    fn check_origin(&self, place: &Place, ops: &[Op], verdict: &mut Verdict) {
        let Some(held) = self.state.get(place) else {
            return;
        };
        let name = self.name;
        match ops.iter().find(|op| op.id == held.stamp.op) {
            None => verdict.diverged(format!(
                "{name} holds {place:?} at {}, which nobody wrote",
                held.stamp
            )),
            Some(op) if op.write.value != held.value => verdict.diverged(format!(
                "{name} holds another value than {} wrote",
                describe(op.id, &op.write)
            )),
            Some(op) if !op.acked => verdict.diverged(format!(
                "{name} holds {}, of which was told that it has no effect",
                describe(op.id, &op.write)
            )),
            Some(_) => {}
        }
    }
}

/// Whether a removal that took effect may be later than `op`.
fn was_removed_after(op: &Op, ops: &[Op]) -> bool {
    let removals = ops
        .iter()
        .filter(|each| each.acked && each.write.value.is_none());
    let mut later = removals.map(|removal| match (removal.stamp, op.stamp) {
        (Some(removal), Some(own)) => removal > own,
        _ if removal.id.run == op.id.run => removal.id.number > op.id.number,
        _ => true,
    });
    later.any(|later| later)
}

/// Every op that took effect is one change of one partition, and nothing else is one.
fn count_changes(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let changes = evidence.database.changes;
    let acked = verdict.acked;
    let words =
        format!("{acked} ops took effect, and partitions have gone through {changes} changes");
    if changes > acked {
        verdict.doubled(words);
        verdict.doubled += changes - acked - 1;
    } else if changes < acked {
        let missing = acked - changes;
        verdict.lost(words);
        // What is gone is mostly known by name already.
        verdict.lost = (verdict.lost - 1).max(missing);
    }
}

fn compare(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let server = &evidence.server.state;
    let live = evidence
        .database
        .state
        .iter()
        .filter(|(_, held)| held.value.is_some());
    let database: State = live
        .map(|(place, held)| (place.clone(), held.clone()))
        .collect();
    differences(
        "the database",
        &database,
        server,
        |ours, theirs| ours == theirs,
        verdict,
    );
    for (client, state) in evidence.clients.iter().enumerate() {
        let same =
            |ours: &Held, theirs: &Held| ours.value == theirs.value && ours.stamp == theirs.stamp;
        differences(&format!("client {client}"), state, server, same, verdict);
    }
    for (partition, sequence) in &evidence.server.sequences {
        let stored = evidence
            .database
            .sequences
            .get(partition)
            .copied()
            .unwrap_or_default();
        if stored != *sequence {
            verdict.diverged(format!(
                "partition {partition} is at {sequence} in the server and at {stored} in the database"
            ));
        }
    }
}

fn differences(
    party: &str,
    state: &State,
    server: &State,
    same: impl Fn(&Held, &Held) -> bool,
    verdict: &mut Verdict,
) {
    let places: BTreeSet<&Place> = state.keys().chain(server.keys()).collect();
    for place in places {
        let (ours, theirs) = (state.get(place), server.get(place));
        let agree = match (ours, theirs) {
            (Some(ours), Some(theirs)) => same(ours, theirs),
            _ => false,
        };
        if !agree {
            let (ours, theirs) = (version(ours), version(theirs));
            verdict.diverged(format!(
                "{place:?} is {ours} with {party} and {theirs} with the server"
            ));
        }
    }
}

fn version(held: Option<&Held>) -> String {
    held.map_or("absent".to_owned(), |held| match held.sequence {
        Some(sequence) => format!("{} (change {sequence})", held.stamp),
        None => held.stamp.to_string(),
    })
}

fn describe(id: OpId, write: &Write) -> String {
    let Write {
        client,
        place: (map, key),
        value,
        level,
    } = write;
    let what = if value.is_some() { "put" } else { "removal" };
    let level = level.name();
    format!("op {id}, client {client}'s {what} of {map}/{key} at `{level}`,")
}
