//! One end of a connection.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::limits::MAX_FRAME_BYTES;
use grid_core::traits::Connection;
use grid_core::{Error, ErrorKind, Result};

use crate::pipe::Pipe;

/// One end; dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct MemoryConnection {
    peer: String,
    outgoing: Arc<Pipe>,
    incoming: Arc<Pipe>,
}

impl MemoryConnection {
    /// The two ends of a new connection to the listener `name`: the caller's, the listener's.
    pub(crate) fn pair(name: &str) -> (Self, Self) {
        let (there, back) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
        let near = Self {
            peer: format!("memory:{name}"),
            outgoing: Arc::clone(&there),
            incoming: Arc::clone(&back),
        };
        let far = Self {
            peer: format!("memory:{name} (caller)"),
            outgoing: back,
            incoming: there,
        };
        (near, far)
    }

    fn shut(&self) {
        self.outgoing.finish();
        self.incoming.abandon();
    }

    fn closed(&self, operation: &'static str) -> Error {
        Error::new(ErrorKind::Closed, operation, "the connection is closed")
            .with("peer", &self.peer)
    }
}

impl Drop for MemoryConnection {
    fn drop(&mut self) {
        self.shut();
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Connection for MemoryConnection {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn send(&self, frames: &[Bytes]) -> Result<()> {
        if let Some(frame) = frames.iter().find(|frame| frame.len() > MAX_FRAME_BYTES) {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "send",
                format!(
                    "a frame of {} bytes; at most {MAX_FRAME_BYTES}",
                    frame.len()
                ),
            )
            .with("peer", &self.peer));
        }
        self.outgoing
            .send(frames)
            .await
            .map_err(|_| self.closed("send"))
    }

    async fn receive(&self, frames: &mut Vec<Bytes>, limit: usize) -> Result<()> {
        self.incoming
            .receive(frames, limit.max(1))
            .await
            .map_err(|_| self.closed("receive"))
    }

    async fn close(&self) {
        self.shut();
    }
}
