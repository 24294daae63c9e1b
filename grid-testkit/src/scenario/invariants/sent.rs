//! The messages that were handed to the network.

use grid_core::protocol::{Delta, Message};

use crate::scenario::Event;
use crate::sim::FrameFate;

/// The message that was sent in this event, and over which connection.
pub(super) fn sent(event: &Event) -> Option<(u64, &Message)> {
    match event {
        Event::Frame {
            link,
            fate: FrameFate::Sent,
            message: Some(message),
            ..
        } => Some((*link, message)),
        _ => None,
    }
}

/// The delta that was sent in this event, and over which connection.
pub(super) fn sent_delta(event: &Event) -> Option<(u64, &Delta)> {
    match sent(event)? {
        (link, Message::Delta(delta)) => Some((link, delta)),
        _ => None,
    }
}
