//! The core of the hybrid grid: everything that decides, nothing that does I/O.
//!
//! Clock, records, conflict-free merging, digests and Merkle trees, the protocol with its two
//! state machines, and the traits that backends implement live here. No socket, file, clock,
//! thread or random number may: time and chance are handed in, actions are handed out, so that
//! the server, the native client, the browser and the simulator run the same code.

pub mod address;
pub mod clock;
pub mod codec;
pub mod digest;
pub mod driver;
pub mod error;
pub mod hlc;
pub mod limits;
pub mod lww_map;
pub mod maybe_send;
pub mod merkle;
pub mod mutation;
pub mod op;
pub mod partition;
pub mod protocol;
pub mod query;
pub mod record;
pub mod replica;
pub mod traits;

pub use address::{Key, MapAddress, MapName, Namespace, PartitionId};
pub use clock::{Admitted, Clock, ClockBound, admit};
pub use digest::{DigestKey, EntryDigest};
pub use driver::{Driver, DriverKind, Registry};
pub use error::{Error, ErrorKind, Result};
pub use hlc::Hlc;
pub use lww_map::LwwMap;
pub use maybe_send::{BoxFuture, MaybeSend, MaybeSync};
pub use merkle::MerkleTree;
pub use op::{AckLevel, OpId, RunId, Stamp};
pub use record::{History, Record, Sequence};

/// The crates whose types appear in the traits, so that a backend uses the same versions.
pub mod export {
    pub use async_trait::async_trait;
    pub use bytes;
    pub use inventory;
}
