//! Cursors never skip.

use std::collections::BTreeMap;

use grid_core::protocol::{DeltaMode, Message, ViewId};
use grid_core::{History, MapName, PartitionId, Sequence};

use super::sent::sent;
use crate::scenario::world::device_party;
use crate::scenario::{Event, Invariant, View};
use crate::sim::{FrameFate, PartyId};

/// Changes follow each other without a gap, and no device's cursor goes back while it is up.
#[derive(Debug, Default)]
pub(super) struct CursorsNeverSkip {
    /// Up to where each view of each connection was told.
    told: BTreeMap<(u64, ViewId, PartitionId), Sequence>,
    /// Where each device's maps stand.
    cursors: BTreeMap<(PartyId, MapName, PartitionId), (History, Sequence)>,
}

impl Invariant for CursorsNeverSkip {
    fn name(&self) -> &'static str {
        "cursors never skip"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Down(party) => {
                // What it knows when it comes back is what its store kept.
                self.cursors.retain(|(device, _, _), _| device != party);
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
    fn follow(&mut self, link: u64, message: &Message) -> Result<(), String> {
        match message {
            Message::CaughtUp(caught_up) => {
                for (partition, sequence) in &caught_up.cursor {
                    self.told
                        .insert((link, caught_up.view, *partition), *sequence);
                }
            }
            Message::Delta(delta) => {
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
                let stood = self.cursors.insert(place, stands);
                if let Some((history, before)) = stood
                    && history == map.history
                    && sequence < before
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
