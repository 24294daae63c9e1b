//! What a subscriber was told, change by change.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grid_core::{Error, OpId, PartitionId, Record, Sequence, Stamp};

use super::evidence::{Place, ServerState};

/// Every change that a subscriber was told of: by which op, and where it stands.
///
/// An op has one place in the order of one partition, and a place has one op, for ever: what was
/// shown to subscribers is durable. Being told the same again, after a reconnect, is no finding.
#[derive(Debug, Default)]
pub struct Stream(Mutex<Seen>);

/// Where a change stands.
type Spot = (PartitionId, Sequence);

#[derive(Debug, Default)]
struct Seen {
    ops: BTreeMap<OpId, (Spot, Stamp)>,
    spots: BTreeMap<Spot, OpId>,
    doubled: BTreeMap<OpId, (Spot, Spot)>,
    rewritten: BTreeMap<Spot, (OpId, OpId)>,
    resets: u64,
    puzzles: Vec<String>,
}

impl Stream {
    /// One of which nothing was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the subscriber was told `record` of `partition`.
    pub fn saw(&self, partition: PartitionId, record: &Record) {
        let mut seen = self.lock();
        let op = record.stamp.op;
        let spot = (partition, record.sequence);
        match seen.ops.entry(op) {
            Entry::Vacant(entry) => {
                entry.insert((spot, record.stamp));
            }
            Entry::Occupied(entry) => {
                let before = entry.get().0;
                if before != spot {
                    seen.doubled.entry(op).or_insert((before, spot));
                }
            }
        }
        match seen.spots.entry(spot) {
            Entry::Vacant(entry) => {
                entry.insert(op);
            }
            Entry::Occupied(entry) => {
                let before = *entry.get();
                if before != op {
                    seen.rewritten.entry(spot).or_insert((before, op));
                }
            }
        }
    }

    /// Notes that the server did not know the place at which the subscriber stood: one that it had
    /// led the subscriber to.
    pub fn was_reset(&self) {
        self.lock().resets += 1;
    }

    /// Notes that the server said what nobody should say there.
    pub(super) fn puzzled(&self, by: &Error) {
        self.lock().puzzles.push(by.to_string());
    }

    /// How many ops were seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().ops.len()
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().ops.is_empty()
    }

    /// Which entry of `server` the subscriber was never shown, if there is one.
    #[must_use]
    pub fn lacks<'a>(&self, server: &'a ServerState) -> Option<&'a Place> {
        let seen = self.lock();
        let mut entries = server.state.iter();
        let unseen = entries.find(|(_, held)| !seen.ops.contains_key(&held.stamp.op));
        unseen.map(|(place, _)| place)
    }

    /// The version that an op wrote, if it was seen.
    pub(super) fn stamp(&self, op: OpId) -> Option<Stamp> {
        self.lock().ops.get(&op).map(|(_, stamp)| *stamp)
    }

    /// Ops under two sequences, in words.
    pub(super) fn doubled(&self) -> Vec<String> {
        let describe = |(op, ((p, s), (q, t))): (&OpId, &(Spot, Spot))| {
            format!("op {op} is change {s} of partition {p} and change {t} of partition {q}")
        };
        self.lock().doubled.iter().map(describe).collect()
    }

    /// Places of two ops, places that the server forgot, and what it should not have said.
    pub(super) fn rewritten(&self) -> Vec<String> {
        let seen = self.lock();
        let describe = |((p, s), (one, other)): (&Spot, &(OpId, OpId))| {
            format!("change {s} of partition {p} was op {one}, and then op {other}")
        };
        let mut found: Vec<String> = seen.rewritten.iter().map(describe).collect();
        found.extend((0..seen.resets).map(|_| {
            "the server did not know the place to which it had led a subscriber".to_owned()
        }));
        found.extend(seen.puzzles.iter().cloned());
        found
    }
}
