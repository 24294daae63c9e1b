//! A transport that lets a test see every message of a device.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use grid_core::Result;
use grid_core::codec::CborCodec;
use grid_core::export::bytes::Bytes;
use grid_core::protocol::{Message, read_frame};
use grid_core::traits::{
    CodecLimits, Connection, Listener, Runtime, Transport, TransportCapabilities,
};
use hybrid_grid::registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToDevice,
}

/// One frame.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) connection: u64,
    pub(crate) direction: Direction,
    pub(crate) bytes: usize,
    pub(crate) message: Message,
}

/// A WebSocket on which every frame is seen. Clones see the same.
#[derive(Debug, Clone)]
pub(crate) struct Tap {
    inner: Arc<dyn Transport>,
    connections: Arc<AtomicU64>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Tap {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            inner: registry().transport("ws://127.0.0.1:0", runtime).unwrap(),
            connections: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// What was seen since the last call, in its order.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

#[async_trait]
impl Transport for Tap {
    fn capabilities(&self) -> TransportCapabilities {
        self.inner.capabilities()
    }

    async fn connect(&self, url: &str) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(Tapped {
            inner: self.inner.connect(url).await?,
            number: self.connections.fetch_add(1, Ordering::SeqCst),
            seen: self.seen.clone(),
        }))
    }

    async fn listen(&self, url: &str) -> Result<Arc<dyn Listener>> {
        self.inner.listen(url).await
    }
}

#[derive(Debug)]
struct Tapped {
    inner: Arc<dyn Connection>,
    number: u64,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Tapped {
    fn see(&self, direction: Direction, frames: &[Bytes]) {
        let seen = frames.iter().map(|frame| Seen {
            connection: self.number,
            direction,
            bytes: frame.len(),
            message: read_frame(&CborCodec, frame.clone(), &CodecLimits::default()).unwrap(),
        });
        self.seen.lock().unwrap().extend(seen);
    }
}

#[async_trait]
impl Connection for Tapped {
    fn peer(&self) -> String {
        self.inner.peer()
    }

    async fn send(&self, frames: &[Bytes]) -> Result<()> {
        self.see(Direction::ToServer, frames);
        self.inner.send(frames).await
    }

    async fn receive(&self, frames: &mut Vec<Bytes>, limit: usize) -> Result<()> {
        let before = frames.len();
        self.inner.receive(frames, limit).await?;
        self.see(Direction::ToDevice, &frames[before..]);
        Ok(())
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
