//! Connections as the rest of the server sees them: who it is, and the queue of what it is told.

mod encoded;
mod farewell;
mod merge;
mod outgoing;
mod owed;
mod session;

pub(crate) use encoded::{Codecs, Encoded, encode};
pub(crate) use farewell::{goodbye, refused};
pub(crate) use merge::Level;
pub(crate) use outgoing::{MergeId, Outgoing};
pub(crate) use owed::Owed;
pub use session::Session;
pub(crate) use session::{Introduction, SessionId};
