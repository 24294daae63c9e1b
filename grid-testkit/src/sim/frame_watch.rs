//! Watching the frames of the simulated network.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::executor::PartyId;

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameFate {
    /// Its sender handed it over.
    Sent,
    /// Its receiver took it.
    Delivered,
    /// It vanished, though the connection lives on.
    Dropped,
    /// It vanished, because the way is cut or nobody is there any more.
    Cut,
    /// It will arrive twice.
    Duplicated,
    /// It will arrive before the one that was sent before it.
    Reordered,
    /// One of its bits will arrive inverted.
    Corrupted,
    /// The connection broke as it was sent.
    Reset,
}

/// A frame, and what became of it.
#[derive(Debug)]
pub struct FrameSeen<'a> {
    /// The sender.
    pub from: PartyId,
    /// The receiver.
    pub to: PartyId,
    /// The number of the connection, counted over the whole run.
    pub link: u64,
    /// The frame, as it was sent, or delivered.
    pub frame: &'a Bytes,
    /// What became of it.
    pub fate: FrameFate,
}

/// Is shown every frame. It must not call the network.
#[derive(Clone)]
pub struct FrameWatch(Arc<dyn Fn(&FrameSeen<'_>) + Send + Sync>);

impl FrameWatch {
    /// Shows every frame to `see`.
    pub fn new(see: impl Fn(&FrameSeen<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }

    pub(super) fn see(&self, seen: &FrameSeen<'_>) {
        (self.0)(seen);
    }
}

impl Default for FrameWatch {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for FrameWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWatch").finish_non_exhaustive()
    }
}
