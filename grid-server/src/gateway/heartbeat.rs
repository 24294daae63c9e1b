//! The heartbeat: both sides ask each other for a sign of life, and compare what was sent with what
//! came.

use std::time::Duration;

use grid_core::protocol::{FrameChain, Message};
use grid_core::{Error, ErrorKind, Result};

use crate::sessions::Session;

/// After how many heartbeats of silence a connection counts as lost.
const SILENT_HEARTBEATS: u32 = 3;

/// What was heard of a client.
#[derive(Debug)]
pub(super) struct Heartbeat {
    period: Duration,
    heard: Duration,
    /// All frames that were received.
    received: FrameChain,
}

impl Heartbeat {
    /// Starts to listen; `received` came already.
    pub(super) fn new(period: Duration, now: Duration, received: FrameChain) -> Self {
        Self {
            period,
            heard: now,
            received,
        }
    }

    /// A frame came; returns the chain of those before it.
    pub(super) fn frame(&mut self, now: Duration, frame: &[u8]) -> u64 {
        self.heard = now;
        let before = self.received.value();
        self.received.add(frame);
        before
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// `Timeout` when the client has been silent for too long.
    pub(super) fn beat(&self, now: Duration, session: &Session) -> Result<()> {
        let silence = now.saturating_sub(self.heard);
        if silence >= self.period * SILENT_HEARTBEATS {
            return Err(Error::new(
                ErrorKind::Timeout,
                "heartbeat",
                format!("nothing was heard for {} ms", silence.as_millis()),
            ));
        }
        session.outgoing().answer_chained(Message::Ping)
    }
}

/// Compares the chain of the frames that a client says it sent with that of those that came.
///
/// # Errors
/// `Protocol` when they differ: the transport lost, doubled or reordered a frame.
pub(super) fn check_chain(said: u64, came: u64) -> Result<()> {
    if said == came {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Protocol,
        "heartbeat",
        "the transport lost, doubled or reordered a frame",
    ))
}
