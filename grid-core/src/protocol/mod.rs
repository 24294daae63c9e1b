//! The protocol: every message that client and server exchange, and its verdicts.
//!
//! Frames start with one byte that names their encoding ([`FRAME_PLAIN`]); then comes one message
//! in the agreed codec, and last a check of [`FRAME_CHECK_BYTES`] over all before it, which
//! [`write_frame`] adds and [`read_frame`] compares. A frame whose check is wrong ends the
//! connection. A reader ignores trailing fields that it does not know. `Hello` stands behind
//! [`MAGIC`] and a version, so that it can be read before anything is agreed; it ends with the
//! check as every frame does.

mod end_code;
mod frame_chain;
mod frame_check;
mod message;
mod verdict;

pub(crate) use end_code::error_of_code;
pub use end_code::{DAMAGED_FRAME, end_code, is_damaged_frame};
pub use frame_chain::FrameChain;
pub use frame_check::{FRAME_CHECK_BYTES, read_frame, seal_frame, unseal_frame, write_frame};
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
