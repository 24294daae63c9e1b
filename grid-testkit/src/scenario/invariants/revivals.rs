//! Versions of a key only go up: a deleted key comes back only by a later write.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::protocol::Message;
use grid_core::{Hlc, Key, MapName, PartitionId, Sequence, Stamp};

use super::sent::{sent, sent_delta};
use super::views::Views;
use crate::scenario::{Event, Invariant, View};

/// How long after a removal the first of its deltas may be sent.
const SEEN_LATE: Duration = Duration::from_secs(1);

/// A version of a key.
#[derive(Debug, Clone, Copy)]
struct Version {
    stamp: Stamp,
    removed: bool,
    partition: PartitionId,
    /// When it was first seen.
    at: Duration,
}

/// What stands later in the order of a key's versions has a later stamp; so nothing that is older
/// than a removal brings the key back.
///
/// Under a merge rule of the user's own, what the rule says goes.
///
/// But one: who never saw the key and creates it anew is taken in once the removal is so old that
/// it is forgotten. To refuse that would be to refuse every new entry of a device that was away for
/// so long.
#[derive(Debug, Default)]
pub(super) struct NoRevival {
    views: Views,
    /// The creations of each key, as their devices stamped them, and when they were pushed last.
    creations: BTreeMap<(MapName, Key), BTreeMap<Stamp, Duration>>,
    seen: BTreeMap<(MapName, Key), BTreeMap<Sequence, Version>>,
}

impl Invariant for NoRevival {
    fn name(&self) -> &'static str {
        "only a later write brings a deleted key back"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        if let Some((link, message)) = sent(event) {
            self.views.read(link, message);
            if let Message::Push(push) = message {
                for op in push.ops.iter().filter(|op| op.base == Hlc::ZERO) {
                    let place = (op.map.clone(), op.key.clone());
                    let stamp = Stamp {
                        hlc: op.hlc,
                        op: op.id,
                    };
                    let creations = self.creations.entry(place).or_default();
                    creations.insert(stamp, view.now());
                }
            }
        }
        if let Event::PutBack { remains, .. } = event {
            // Of a key that was written after what remains, what remains is not known: the database
            // may be level with the sequence of a version that it never got, because a later one
            // was there by the time it was stored.
            self.seen.retain(|_, versions| {
                let mut versions = versions.iter();
                versions.all(|(at, version)| *at <= remains.sequence(version.partition))
            });
        }
        let Some((link, delta)) = sent_delta(event).filter(|_| view.later_wins()) else {
            return Ok(());
        };
        let Some(map) = self.views.map(link, delta.view) else {
            return Err(format!(
                "a delta of view {:?}, which nobody asked for",
                delta.view
            ));
        };
        for record in &delta.records {
            let place = (map.clone(), record.key.clone());
            let creations = self.creations.get(&place);
            let versions = self.seen.entry(place).or_default();
            let version = Version {
                stamp: record.stamp,
                removed: record.is_tombstone(),
                partition: delta.partition,
                at: view.now(),
            };
            versions.entry(record.sequence).or_insert(version);
            let before = versions.range(..record.sequence).next_back();
            let after = versions.range(record.sequence.next()..).next();
            let goes_up = before.is_none_or(|(at, earlier)| {
                // What was removed is not always seen: removal and creation may come in one delta.
                let removed = earlier.removed || at.next() < record.sequence;
                let age_ms = view.now_ms().saturating_sub(earlier.stamp.hlc.millis());
                let age = Duration::from_millis(age_ms).max(view.now() - earlier.at);
                let old = age + SEEN_LATE >= view.retention();
                // Nor is a creation that other versions followed at once.
                let creates = creations.is_some_and(|creations| {
                    creations.iter().any(|(stamp, pushed)| {
                        stamp.op == record.stamp.op
                            || (*stamp < record.stamp && *pushed + SEEN_LATE >= earlier.at)
                    })
                });
                earlier.stamp <= record.stamp || (removed && old && creates)
            });
            if !goes_up {
                return Err(format!(
                    "{map}/{}: version {} at {}, between {before:?} and {after:?}",
                    record.key, record.stamp, record.sequence
                ));
            }
        }
        Ok(())
    }
}
