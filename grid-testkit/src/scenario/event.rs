//! What happens in a run, for invariants and for the timeline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grid_core::protocol::Message;
use grid_core::{Key, MapName, OpId, Stamp};

use super::fault::Fault;
use crate::sim::{FrameFate, PartyId};

/// What a device's app was told about a write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told {
    /// Its call has not returned: the device may have lost its power, and anything may have
    /// happened.
    Unknown,
    /// The call failed: it is not on the device.
    Failed(String),
    /// It is durable on the device.
    Durable,
    /// The server took it.
    Acked,
    /// The server has a later version.
    Superseded,
    /// The server refused it.
    Rejected(String),
}

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A frame was sent, delivered, or treated badly.
    Frame {
        /// The sender.
        from: PartyId,
        /// The receiver.
        to: PartyId,
        /// The number of the connection.
        link: u64,
        /// What became of it.
        fate: FrameFate,
        /// Its length, in bytes.
        bytes: usize,
        /// The message in it, when it was sent or delivered whole.
        message: Option<Arc<Message>>,
    },
    /// A fault happened.
    Fault(Fault),
    /// A party lost its power.
    Down(PartyId),
    /// A party is there.
    Up(PartyId),
    /// A device's app writes; `value` is none for a removal.
    Write {
        /// The device.
        device: usize,
        /// The write's number in the run.
        number: usize,
        /// The map.
        map: MapName,
        /// The key.
        key: Key,
        /// The value.
        value: Option<Bytes>,
    },
    /// A device's app was told about a write.
    Told {
        /// The device.
        device: usize,
        /// The write's number in the run.
        number: usize,
        /// The op that it became, once that is known.
        op: Option<OpId>,
        /// What it was told.
        told: Told,
    },
    /// A device's app read a key; `version` is [`Stamp::ZERO`] where there is nothing.
    Read {
        /// The device.
        device: usize,
        /// The map.
        map: MapName,
        /// The key.
        key: Key,
        /// The version it saw.
        version: Stamp,
    },
    /// All faults have ended.
    Healed,
}

/// An event and when it happened.
#[derive(Debug, Clone)]
pub struct TimedEvent {
    /// Time since the world began.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}
