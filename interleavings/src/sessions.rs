//! What of the server's sessions is shared between threads.

#[path = "../../grid-server/src/sessions/encoded.rs"]
mod encoded;
#[path = "../../grid-server/src/sessions/merge.rs"]
mod merge;
#[path = "../../grid-server/src/sessions/outgoing.rs"]
mod outgoing;

pub(crate) use merge::Level;
pub(crate) use outgoing::Outgoing;
