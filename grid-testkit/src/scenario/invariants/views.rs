//! Which view of a connection shows which map.

use std::collections::BTreeMap;

use grid_core::MapName;
use grid_core::protocol::{Message, ViewId};

/// The maps behind the views of all connections, as the messages on them tell.
#[derive(Debug, Default)]
pub(in crate::scenario) struct Views {
    asked: BTreeMap<(u64, u32), MapName>,
    maps: BTreeMap<(u64, ViewId), MapName>,
}

impl Views {
    /// Reads a message that was sent over connection `link`.
    pub(in crate::scenario) fn read(&mut self, link: u64, message: &Message) {
        match message {
            Message::Subscribe(subscribe) => {
                self.asked
                    .insert((link, subscribe.request), subscribe.map.clone());
            }
            Message::Subscribed(subscribed) => {
                if let Some(map) = self.asked.get(&(link, subscribed.request)) {
                    self.maps.insert((link, subscribed.view), map.clone());
                }
            }
            _ => {}
        }
    }

    /// The map that `view` of connection `link` shows.
    pub(in crate::scenario) fn map(&self, link: u64, view: ViewId) -> Option<&MapName> {
        self.maps.get(&(link, view))
    }
}
