//! The protocol: every message that client and server exchange, and its verdicts.
//!
//! Frames start with one byte that names their encoding ([`FRAME_PLAIN`]); the rest is one message
//! in the agreed codec. A reader ignores trailing fields that it does not know. `Hello` stands
//! behind [`MAGIC`] and a version, so that it can be read before anything is agreed.

mod frame_chain;
mod message;
mod verdict;

pub use frame_chain::FrameChain;
pub use message::{
    Ack, CaughtUp, Deferred, Delta, DeltaMode, Exception, Goodbye, Hello, MapDefinition, Message,
    NumberRange, Push, Read, ReadResult, ReadTarget, Refused, Repair, RepairLeaves, RepairNodes,
    RepairStep, Selector, Stored, Subscribe, SubscribeRefused, Subscribed, ViewId, Welcome,
};
pub use verdict::{RejectReason, Verdict};

/// The first bytes of the first frame of a connection.
pub const MAGIC: [u8; 4] = *b"GRID";
/// The newest protocol version that this code speaks.
pub const PROTOCOL_VERSION: u16 = 1;
/// The oldest protocol version that this code speaks.
pub const OLDEST_PROTOCOL_VERSION: u16 = 1;
/// The first byte of a frame whose message is not compressed.
pub const FRAME_PLAIN: u8 = 0;
