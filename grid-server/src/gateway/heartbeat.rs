//! The heartbeat: both sides ask each other for a sign of life, and count frames.

use std::time::Duration;

use grid_core::protocol::Message;
use grid_core::{Error, ErrorKind, Result};

use crate::sessions::Session;

/// After how many heartbeats of silence a connection counts as lost.
const SILENT_HEARTBEATS: u32 = 3;

/// What was heard of a client.
#[derive(Debug)]
pub(super) struct Heartbeat {
    period: Duration,
    heard: Duration,
    /// Frames that were received.
    received: u64,
}

impl Heartbeat {
    /// Starts to count; `received` frames came already.
    pub(super) fn new(period: Duration, now: Duration, received: u64) -> Self {
        Self {
            period,
            heard: now,
            received,
        }
    }

    /// A frame came; returns how many came before it.
    pub(super) fn frame(&mut self, now: Duration) -> u64 {
        self.heard = now;
        self.received += 1;
        self.received - 1
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
        session.outgoing().answer_counted(Message::Ping)
    }
}

/// Compares the number of frames that a client says it sent with those that came.
///
/// # Errors
/// `Protocol` when they differ: the transport lost, doubled or reordered a frame.
pub(super) fn check_count(said: u64, came: u64) -> Result<()> {
    if said == came {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Protocol,
        "heartbeat",
        format!(
            "the peer has sent {said} frames and {came} arrived: the transport lost or doubled \
             some"
        ),
    ))
}
