//! Cursors never skip.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grid_core::protocol::{DeltaMode, Message, ViewId};
use grid_core::{History, MapName, PartitionId, Sequence};

use super::sent::sent;
use crate::scenario::world::device_party;
use crate::scenario::{Event, Invariant, Remains, View};
use crate::sim::{FrameFate, PartyId};

/// Changes follow each other without a gap, and no device's cursor goes back while it is up; but
/// once, to what the server still knows, after it was put back to a backup within its history.
#[derive(Debug, Default)]
pub(super) struct CursorsNeverSkip {
    /// Up to where each view of each connection was told.
    told: BTreeMap<(u64, ViewId, PartitionId), Sequence>,
    /// The history of each connection's server.
    histories: BTreeMap<u64, History>,
    /// Requests with cursors of another history than the server's: of which partitions.
    foreign: BTreeMap<(u64, u32), BTreeSet<PartitionId>>,
    /// The same for views, as far as the server has not answered.
    unmatched: BTreeMap<(u64, ViewId), BTreeSet<PartitionId>>,
    /// Where each device's maps stand.
    cursors: BTreeMap<Place, (History, Sequence)>,
    /// What the server knew when it was put back last, within its history.
    remains: Option<Arc<Remains>>,
    /// Cursors that went back to it.
    rewound: BTreeSet<Place>,
}

/// A partition of a device's map.
type Place = (PartyId, MapName, PartitionId);

impl Invariant for CursorsNeverSkip {
    fn name(&self) -> &'static str {
        "cursors never skip"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Down(party) => {
                // What it knows when it comes back is what its store kept.
                self.cursors.retain(|(device, _, _), _| device != party);
                self.rewound.retain(|(device, _, _)| device != party);
                Ok(())
            }
            Event::PutBack { remains, .. } => {
                self.remains = Some(remains.clone()).filter(|remains| !remains.is_new_history());
                self.rewound.clear();
                Ok(())
            }
            Event::Frame {
                to,
                fate: FrameFate::Delivered,
                ..
            } => self.look_at_device(*to, view),
            event => match sent(event) {
                Some((link, message)) => self.follow(link, message),
                None => Ok(()),
            },
        }
    }
}

impl CursorsNeverSkip {
    /// The server answered for these partitions of a view; a cursor of another history is answered
    /// with all there is, or with the word that it is of no use.
    fn matched(
        &mut self,
        link: u64,
        view: ViewId,
        partitions: impl IntoIterator<Item = PartitionId>,
        is_whole: bool,
    ) -> Result<(), String> {
        let Some(unmatched) = self.unmatched.get_mut(&(link, view)) else {
            return Ok(());
        };
        for partition in partitions {
            if unmatched.remove(&partition) && !is_whole {
                return Err(format!(
                    "link {link}, partition {partition}: a cursor of another history was followed"
                ));
            }
        }
        Ok(())
    }

    fn may_go_back(&mut self, place: Place, before: Sequence, now: Sequence) -> bool {
        let Some(remains) = &self.remains else {
            return false;
        };
        let known = remains.sequence(place.2);
        before > known && now >= known && self.rewound.insert(place)
    }

    fn follow(&mut self, link: u64, message: &Message) -> Result<(), String> {
        match message {
            Message::Welcome(welcome) => {
                self.histories.insert(link, welcome.history);
            }
            Message::Subscribe(subscribe)
                if self.histories.get(&link) != Some(&subscribe.history) =>
            {
                let cursors = subscribe.cursor.iter();
                let of_partitions = cursors.map(|(partition, _)| *partition).collect();
                self.foreign
                    .insert((link, subscribe.request), of_partitions);
            }
            Message::Subscribed(subscribed) => {
                let foreign = self.foreign.remove(&(link, subscribed.request));
                self.unmatched
                    .insert((link, subscribed.view), foreign.unwrap_or_default());
            }
            Message::CaughtUp(caught_up) => {
                let mut listed: Vec<PartitionId> = caught_up
                    .cursor
                    .iter()
                    .map(|(partition, _)| *partition)
                    .collect();
                if listed.is_empty() {
                    // It speaks of all of them.
                    let unmatched = self.unmatched.get(&(link, caught_up.view));
                    listed.extend(unmatched.into_iter().flatten());
                }
                self.matched(link, caught_up.view, listed, caught_up.reset)?;
                for (partition, sequence) in &caught_up.cursor {
                    self.told
                        .insert((link, caught_up.view, *partition), *sequence);
                }
            }
            Message::Delta(delta) => {
                let is_whole = delta.mode == DeltaMode::Snapshot;
                self.matched(link, delta.view, [delta.partition], is_whole)?;
                let place = (link, delta.view, delta.partition);
                let told = self.told.insert(place, delta.to);
                if delta.mode == DeltaMode::Changes
                    && let Some(told) = told
                    && delta.from > told
                {
                    return Err(format!(
                        "partition {} was told up to {told}, and then from {} to {}",
                        delta.partition, delta.from, delta.to
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn look_at_device(&mut self, party: PartyId, view: &View<'_>) -> Result<(), String> {
        let mut devices = 0..view.world.device_count();
        let Some(device) = devices.find(|device| device_party(*device) == party) else {
            return Ok(());
        };
        let Some(grid) = view.grid(device) else {
            return Ok(());
        };
        for map in grid.status().maps {
            for (partition, sequence) in map.cursor {
                let place = (party, map.map.clone(), partition);
                let stands = (map.history, sequence);
                let stood = self.cursors.insert(place.clone(), stands);
                if let Some((history, before)) = stood
                    && history == map.history
                    && sequence < before
                    && !self.may_go_back(place, before, sequence)
                {
                    return Err(format!(
                        "device {device}, map {}, partition {partition}: from {before} back to {sequence}",
                        map.map
                    ));
                }
            }
        }
        Ok(())
    }
}
