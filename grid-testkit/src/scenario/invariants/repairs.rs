//! Nobody repairs what is whole.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::History;
use grid_core::protocol::Message;

use super::sent::sent;
use crate::scenario::{Event, Invariant, View};
use crate::sim::{FrameFate, PartyId};

/// A device compares Merkle roots after every change, and repairs what differs. Where no frame of a
/// device was ever lost from the middle of a stream, that happens only when the server says that
/// the cursor is of no use or that it is on another history, or when it was put back to a backup
/// within its history: else one of the two has counted wrong.
#[derive(Debug, Default)]
pub(super) struct RepairsAreDue {
    /// Connections of which frames were lost, so far at their end.
    cut: BTreeSet<u64>,
    /// Parties of which a frame was lost, doubled or moved in the middle, or that were told to
    /// repair.
    troubled: BTreeSet<PartyId>,
    /// The history that each device was told last.
    histories: BTreeMap<PartyId, History>,
    /// Whether a server told again what it had told before, and other things under it.
    rewound: bool,
}

impl Invariant for RepairsAreDue {
    fn name(&self) -> &'static str {
        "nobody repairs what is whole"
    }

    fn observe(&mut self, event: &Event, _: &View<'_>) -> Result<(), String> {
        if let Event::PutBack { remains, .. } = event {
            self.rewound |= !remains.is_new_history();
        }
        if let Event::Frame {
            from,
            to,
            link,
            fate,
            ..
        } = event
        {
            let hurts = match fate {
                FrameFate::Sent => false,
                FrameFate::Cut | FrameFate::Reset => {
                    self.cut.insert(*link);
                    false
                }
                FrameFate::Delivered => self.cut.contains(link),
                _ => true,
            };
            if hurts {
                self.troubled.extend([*from, *to]);
            }
        }
        let Event::Frame { from, to, .. } = event else {
            return Ok(());
        };
        match sent(event) {
            Some((_, Message::Welcome(welcome))) => {
                let before = self.histories.insert(*to, welcome.history);
                if before.is_some_and(|before| before != welcome.history) {
                    self.troubled.insert(*to);
                }
            }
            Some((_, Message::CaughtUp(caught_up))) if caught_up.reset => {
                // What is repaired now may be left half done, for another connection to finish.
                self.troubled.insert(*to);
            }
            Some((link, Message::Repair(repair)))
                if !self.rewound && !self.troubled.contains(from) =>
            {
                return Err(format!(
                    "link {link}: no frame was lost, and yet partition {} of view {} is repaired",
                    repair.partition, repair.view.0
                ));
            }
            _ => {}
        }
        Ok(())
    }
}
