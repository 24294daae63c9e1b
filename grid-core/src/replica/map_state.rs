//! One map as a replica holds it: the overlay over the confirmed state, and the view it follows.

use std::collections::BTreeSet;
use std::iter::Peekable;

use bytes::Bytes;

use super::confirmed::Confirmed;
use super::log_position::LogPosition;
use super::note::Note;
use super::overlay::Overlay;
use super::view::View;
use crate::address::{Key, MapName, PartitionId};
use crate::hlc::Hlc;
use crate::protocol::{MapDefinition, Selector};
use crate::record::{History, Sequence};

/// A value that the application sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Visible<'a> {
    pub(super) value: &'a Bytes,
    pub(super) expires_at_ms: Option<u64>,
}

impl Visible<'_> {
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|due| due <= now_ms)
    }
}

#[derive(Debug)]
pub(super) struct MapState {
    pub(super) name: MapName,
    /// Whether the application opened the map, so that it is followed.
    pub(super) opened: bool,
    pub(super) selector: Selector,
    /// What the map is, once a server has told.
    pub(super) definition: Option<MapDefinition>,
    /// The history in which the cursors count.
    pub(super) history: History,
    pub(super) confirmed: Confirmed,
    pub(super) overlay: Overlay,
    pub(super) view: View,
    /// Ops with a verdict that show in the overlay until the cursor reaches their sequence.
    pub(super) waiting: BTreeSet<(PartitionId, Sequence, LogPosition)>,
    /// Entries that the application sees, the due ones included.
    seen: usize,
    /// Those of them that will be due one day.
    expiring: usize,
}

impl MapState {
    pub(super) fn new(name: MapName, confirmed: Confirmed) -> Self {
        Self {
            name,
            opened: false,
            selector: Selector::All,
            definition: None,
            history: History::default(),
            confirmed,
            overlay: Overlay::default(),
            view: View::default(),
            waiting: BTreeSet::new(),
            seen: 0,
            expiring: 0,
        }
    }

    /// What the application sees of `key`: the last pending op, else the confirmed entry.
    pub(super) fn visible(&self, key: &Key) -> Option<Visible<'_>> {
        match self.overlay.last(key) {
            Some(op) => Some(Visible {
                value: op.value.as_ref()?,
                expires_at_ms: op.expires_at_ms,
            }),
            None => self.confirmed.get(key).map(|held| Visible {
                value: &held.value,
                expires_at_ms: held.expires_at_ms,
            }),
        }
    }

    /// The version that an edit of `key` rests on.
    pub(super) fn base(&self, key: &Key) -> Hlc {
        match self.overlay.last(key) {
            Some(op) => op.rests_on,
            None => self
                .confirmed
                .get(key)
                .map_or(Hlc::ZERO, |held| held.stamp.hlc),
        }
    }

    /// Runs `change`, which touches what is seen of `key` only, and tells if that changed.
    pub(super) fn change<T>(
        &mut self,
        key: &Key,
        notes: &mut Vec<Note>,
        change: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self
            .visible(key)
            .map(|seen| (seen.value.clone(), seen.expires_at_ms.is_some()));
        let result = change(self);
        let after = self
            .visible(key)
            .map(|seen| (seen.value, seen.expires_at_ms.is_some()));
        let same = match (&before, &after) {
            (Some((before, _)), Some((after, _))) => before == *after,
            (None, None) => true,
            _ => false,
        };
        let (is, expires) = (after.is_some(), after.is_some_and(|(_, expires)| expires));
        if let Some((_, expired)) = before {
            self.seen -= 1;
            self.expiring -= usize::from(expired);
        }
        self.seen += usize::from(is);
        self.expiring += usize::from(expires);
        if !same {
            notes.push(Note::Changed {
                map: self.name.clone(),
                key: key.clone(),
            });
        }
        result
    }

    /// How many entries the application sees, with those that are due.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// How many entries the application sees.
    pub(super) fn len(&self, now_ms: u64) -> usize {
        if self.expiring == 0 {
            self.seen
        } else {
            self.iter(now_ms).count()
        }
    }

    /// What the application sees, in key order, without what is due.
    pub(super) fn iter(&self, now_ms: u64) -> impl Iterator<Item = (&Key, &Bytes)> {
        let merged = Merged {
            confirmed: self.confirmed.entries().iter().peekable(),
            overlay: self.overlay.iter().peekable(),
        };
        merged
            .filter_map(|(key, visible)| Some((key, visible?)))
            .filter(move |(_, visible)| !visible.is_due(now_ms))
            .map(|(key, visible)| (key, visible.value))
    }

    /// Whether the fate of an op on `key` will show in the view, so that the op stays visible
    /// until then.
    pub(super) fn follows(&self, key: &Key) -> bool {
        self.view.is_followed() && self.selector.matches(key)
    }

    /// Up to where the copy of `partition` is known to equal the server's; `None` before the server
    /// has answered on this connection, and while the partition is under repair.
    pub(super) fn level(&self, partition: PartitionId) -> Option<Sequence> {
        if self.view.is_answered(partition) && !self.view.is_repairing(partition) {
            self.confirmed.cursor(partition)
        } else {
            None
        }
    }
}

/// Two ordered lists of entries as one, the second over the first.
struct Merged<A: Iterator, B: Iterator> {
    confirmed: Peekable<A>,
    overlay: Peekable<B>,
}

impl<'a, A, B> Iterator for Merged<A, B>
where
    A: Iterator<Item = (&'a Key, &'a super::confirmed::Held)>,
    B: Iterator<Item = (&'a Key, &'a super::overlay::Overlaid)>,
{
    type Item = (&'a Key, Option<Visible<'a>>);

    fn next(&mut self) -> Option<Self::Item> {
        let below = self.confirmed.peek().map(|(key, _)| *key);
        let above = self.overlay.peek().map(|(key, _)| *key);
        let take_above = match (below, above) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(below), Some(above)) => above <= below,
        };
        if !take_above {
            let (key, held) = self.confirmed.next()?;
            let visible = Visible {
                value: &held.value,
                expires_at_ms: held.expires_at_ms,
            };
            return Some((key, Some(visible)));
        }
        if below == above {
            self.confirmed.next();
        }
        let (key, op) = self.overlay.next()?;
        let visible = op.value.as_ref().map(|value| Visible {
            value,
            expires_at_ms: op.expires_at_ms,
        });
        Some((key, visible))
    }
}
