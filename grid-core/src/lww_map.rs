//! The base CRDT: a map of last-writer-wins registers with tombstones and expiry.
//!
//! It is a delta-state CRDT (Almeida, Shoker and Baquero 2018, "Delta State Replicated Data
//! Types"): every change is itself a small map, and joining it anywhere, in any order and any
//! number of times, has the same effect.

use std::collections::BTreeMap;

use crate::address::Key;
use crate::record::{Record, Sequence};
use crate::traits::{LastWriterWins, Resolution, Resolver};

/// Merges an incoming version of a key with the current one by the map's rule.
///
/// Returns the record that replaces the current one, `None` when the current one stays. What a
/// rule combines carries the later stamp and that version's expiry (of equal stamps the later
/// expiry), and no sequence yet.
///
/// ```
/// use grid_core::lww_map::merge;
/// use grid_core::traits::LastWriterWins;
/// use grid_core::{Hlc, Key, OpId, Record, RunId, Sequence, Stamp};
///
/// let op = OpId { run: RunId(1), number: 1 };
/// let old = Record {
///     key: Key::new("k")?,
///     value: Some("1".into()),
///     stamp: Stamp { hlc: Hlc::new(5, 0), op },
///     sequence: Sequence::ZERO,
///     expires_at_ms: None,
/// };
/// let new = Record { stamp: Stamp { hlc: Hlc::new(6, 0), op }, ..old.clone() };
/// assert_eq!(merge(&LastWriterWins, Some(&old), &new), Some(new.clone()));
/// assert_eq!(merge(&LastWriterWins, Some(&new), &old), None);
/// assert_eq!(merge(&LastWriterWins, None, &old), Some(old));
/// # Ok::<(), grid_core::Error>(())
/// ```
#[must_use]
pub fn merge(
    resolver: &dyn Resolver,
    current: Option<&Record>,
    incoming: &Record,
) -> Option<Record> {
    let Some(current) = current else {
        return Some(incoming.clone());
    };
    debug_assert_eq!(current.key, incoming.key, "versions of one key");
    match resolver.resolve(current, incoming) {
        Resolution::KeepCurrent => None,
        Resolution::TakeIncoming => Some(incoming.clone()),
        Resolution::Combine(value) => {
            // The larger of a total order that the value has no part in: so expiry stays
            // commutative and associative whatever the rule makes of the values.
            let rank = |record: &Record| (record.stamp, record.expires_at_ms);
            let later = if rank(incoming) > rank(current) {
                incoming
            } else {
                current
            };
            let unchanged = value == current.value && rank(later) == rank(current);
            (!unchanged).then(|| Record {
                key: current.key.clone(),
                value,
                stamp: later.stamp,
                sequence: Sequence::ZERO,
                expires_at_ms: later.expires_at_ms,
            })
        }
    }
}

/// A replica of a map: for every key the version that won, live or tombstone.
///
/// Joins are commutative, associative, idempotent and monotone, so replicas that have seen the
/// same versions are equal, however these came. A sequence is a server's numbering and no part of
/// a version; records in here have [`Sequence::ZERO`].
///
/// ```
/// use grid_core::{Hlc, Key, LwwMap, OpId, Record, RunId, Sequence, Stamp};
///
/// let version = |millis, value: Option<&'static str>| Record {
///     key: Key::new("k").expect("a good key"),
///     value: value.map(Into::into),
///     stamp: Stamp {
///         hlc: Hlc::new(millis, 0),
///         op: OpId { run: RunId(1), number: millis },
///     },
///     sequence: Sequence::ZERO,
///     expires_at_ms: None,
/// };
/// let mut here = LwwMap::new();
/// let mut there = LwwMap::new();
/// here.merge(version(2, None));
/// there.merge(version(1, Some("older")));
/// let delta = here.join(&there);
/// assert!(delta.is_empty(), "the removal was later");
/// there.join(&here);
/// assert_eq!(here, there);
/// assert_eq!(there.get(&Key::new("k")?, 0), None);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LwwMap {
    records: BTreeMap<Key, Record>,
}

impl LwwMap {
    /// A map without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Merges one version by [`LastWriterWins`]; whether anything changed.
    pub fn merge(&mut self, incoming: Record) -> bool {
        self.merge_with(&LastWriterWins, incoming)
    }

    /// Merges one version by `resolver`; whether anything changed. All replicas of a map use the
    /// same rule.
    pub fn merge_with(&mut self, resolver: &dyn Resolver, mut incoming: Record) -> bool {
        incoming.sequence = Sequence::ZERO;
        let current = self.records.get(&incoming.key);
        let Some(winner) = merge(resolver, current, &incoming) else {
            return false;
        };
        self.records.insert(incoming.key, winner);
        true
    }

    /// Joins another replica, or a delta of one, by [`LastWriterWins`].
    ///
    /// Returns the delta: the records that changed here. To pass on what was news, pass on that.
    pub fn join(&mut self, other: &Self) -> Self {
        self.join_with(&LastWriterWins, other)
    }

    /// As [`LwwMap::join`], by `resolver`.
    pub fn join_with(&mut self, resolver: &dyn Resolver, other: &Self) -> Self {
        let mut delta = Self::new();
        for (key, incoming) in &other.records {
            if let Some(winner) = merge(resolver, self.records.get(key), incoming) {
                delta.records.insert(key.clone(), winner.clone());
                self.records.insert(key.clone(), winner);
            }
        }
        delta
    }

    /// The smallest delta that gives `other` all that is here: the records that would change it.
    #[must_use]
    pub fn delta_for(&self, resolver: &dyn Resolver, other: &Self) -> Self {
        let news = self
            .records
            .iter()
            .filter(|(key, record)| merge(resolver, other.records.get(*key), record).is_some());
        Self {
            records: news
                .map(|(key, record)| (key.clone(), record.clone()))
                .collect(),
        }
    }

    /// The entry, if it exists at `now_ms` (milliseconds since 1970): not a tombstone, not due.
    #[must_use]
    pub fn get(&self, key: &Key, now_ms: u64) -> Option<&Record> {
        self.records
            .get(key)
            .filter(|record| record.is_live(now_ms))
    }

    /// The entries that exist at `now_ms`, in the order of their keys.
    pub fn live(&self, now_ms: u64) -> impl Iterator<Item = &Record> {
        self.records
            .values()
            .filter(move |record| record.is_live(now_ms))
    }

    /// All records, tombstones and due entries too, in the order of their keys.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// Turns every entry that is due at `now_ms` into its tombstone.
    ///
    /// Returns the delta. Only one replica, a partition's writer, may call this; others hide what
    /// is due and wait for the tombstone, so that they never disagree about a clock.
    pub fn expire(&mut self, now_ms: u64) -> Self {
        let due = self.records.values().filter(|record| record.is_due(now_ms));
        let tombstones = Self {
            records: due
                .map(|record| (record.key.clone(), record.expired()))
                .collect(),
        };
        self.join(&tombstones)
    }

    /// How many records there are, tombstones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record, not even a tombstone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl FromIterator<Record> for LwwMap {
    /// Merges the records by [`LastWriterWins`].
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut map = Self::new();
        for record in records {
            map.merge(record);
        }
        map
    }
}
