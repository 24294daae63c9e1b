//! What happens in a run, for invariants and for the timeline.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use grid_core::protocol::Message;
use grid_core::traits::{AddressedRecord, Epoch};
use grid_core::{Key, MapName, OpId, PartitionId, Sequence, Stamp};

use super::backup::Remains;
use super::contents::Contents;
use super::fault::Fault;
use crate::sim::{Executor, FrameFate, PartyId};

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
        /// The version at which the entry must still be for it to take effect.
        if_version: Option<Stamp>,
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
    /// The servers' database took what a server stores, or failed to.
    Stored {
        /// The server.
        by: PartyId,
        /// The partition.
        partition: PartitionId,
        /// The records, of which a later version may be there already.
        records: Arc<[AddressedRecord]>,
        /// Up to which change the database is level with them.
        through: Sequence,
        /// What kept it from it.
        error: Option<String>,
    },
    /// A batch was written to the journal that several servers share.
    Journalled {
        /// The server.
        server: PartyId,
        /// The partition.
        partition: PartitionId,
        /// The epoch at which it is the server's.
        epoch: Epoch,
        /// The sequence that the batch follows on.
        after: Sequence,
        /// The partition's sequence after it.
        through: Sequence,
        /// Whether it is an epoch record.
        begins_epoch: bool,
    },
    /// A batch is known to be in a server's journal: it was written there, or read from it.
    Durable {
        /// The server.
        server: PartyId,
        /// The partition.
        partition: PartitionId,
        /// The sequence that the batch follows on.
        after: Sequence,
        /// The partition's sequence after it.
        through: Sequence,
        /// The versions in it.
        records: Arc<[AddressedRecord]>,
    },
    /// Somebody beside a server asks it for an entry.
    Audit {
        /// The number of the question in the run.
        number: usize,
        /// The map.
        map: MapName,
        /// The key.
        key: Key,
    },
    /// A server answered such a question.
    Audited {
        /// The number of the question in the run.
        number: usize,
        /// What is there, and its version: none of both if there was never anything.
        found: Option<(Option<Bytes>, Stamp)>,
    },
    /// A server that was put back to a backup is about to start on this.
    Holds(Arc<Contents>),
    /// A server that was put back to a backup is up again.
    PutBack {
        /// The server.
        server: PartyId,
        /// What it still knows.
        remains: Arc<Remains>,
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

/// Where events are noted until somebody takes them. Clones are one and the same.
#[derive(Debug, Clone)]
pub(super) struct EventLog {
    executor: Executor,
    events: Arc<Mutex<Vec<TimedEvent>>>,
}

impl EventLog {
    pub(super) fn new(executor: &Executor) -> Self {
        Self {
            executor: executor.clone(),
            events: Arc::default(),
        }
    }

    /// Notes that something happens now.
    pub(super) fn emit(&self, event: Event) {
        let at = self.executor.now();
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(TimedEvent { at, event });
    }

    /// What happened since the last call.
    pub(super) fn take(&self) -> Vec<TimedEvent> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut events)
    }
}
