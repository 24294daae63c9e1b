//! The `Transport` of one party of the simulated network.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, pin_mut, select_biased};
use grid_core::limits::MAX_FRAME_BYTES;
use grid_core::traits::{Connection, Listener, Transport, TransportCapabilities};
use grid_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, mpsc};

use super::{Accepted, Direction, Link, NOBODY, Network, Way, closed};
use crate::sim::executor::PartyId;
use crate::sim::frame_watch::FrameFate;
use crate::sim::stream::Stream;

#[derive(Debug)]
pub(super) struct SimTransport {
    pub(super) network: Network,
    pub(super) party: PartyId,
}

#[async_trait]
impl Transport for SimTransport {
    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities {
            listens: true,
            max_frame_bytes: MAX_FRAME_BYTES,
        }
    }

    async fn connect(&self, url: &str) -> Result<Arc<dyn Connection>> {
        let executor = &self.network.executor;
        let stream = Stream::Link(self.party, NOBODY);
        let delay = Duration::from_micros(1000 + executor.below(stream, 10_000));
        executor.pass_until(executor.now() + delay).await;
        let mut state = self.network.lock();
        let refused = || {
            Error::new(ErrorKind::Unavailable, "connect", "nobody listens there").with("url", url)
        };
        let (listening, accept) = state.listeners.get(url).cloned().ok_or_else(refused)?;
        if state.cut.contains(&(self.party, listening))
            || state.cut.contains(&(listening, self.party))
        {
            return Err(refused());
        }
        let link = state.next_link;
        state.next_link += 1;
        let direction = || Direction {
            frames: VecDeque::new(),
            arrived: Arc::default(),
        };
        state.links.insert(
            link,
            Link {
                parties: (self.party, listening),
                directions: [direction(), direction()],
                open: true,
            },
        );
        drop(state);
        let end = |side| SimConnection {
            network: self.network.clone(),
            link,
            side,
        };
        accept.send(Arc::new(end(1))).map_err(|_| refused())?;
        Ok(Arc::new(end(0)))
    }

    async fn listen(&self, url: &str) -> Result<Arc<dyn Listener>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.network
            .lock()
            .listeners
            .insert(url.to_owned(), (self.party, sender));
        Ok(Arc::new(SimListener {
            network: self.network.clone(),
            url: url.to_owned(),
            accepted: tokio::sync::Mutex::new(receiver),
        }))
    }
}

#[derive(Debug)]
struct SimListener {
    network: Network,
    url: String,
    accepted: tokio::sync::Mutex<mpsc::UnboundedReceiver<Accepted>>,
}

#[async_trait]
impl Listener for SimListener {
    fn url(&self) -> String {
        self.url.clone()
    }

    async fn accept(&self) -> Result<Arc<dyn Connection>> {
        self.accepted.lock().await.recv().await.ok_or_else(closed)
    }

    async fn close(&self) {
        self.network.lock().listeners.remove(&self.url);
    }
}

/// One end of a link; side 0 is the one that connected.
#[derive(Debug)]
struct SimConnection {
    network: Network,
    link: u64,
    side: usize,
}

impl SimConnection {
    /// What has arrived, or when to look again.
    fn take(&self, into: &mut Vec<Bytes>, limit: usize) -> Result<Option<Wait>> {
        let now = self.network.executor.now();
        let mut state = self.network.lock();
        let Some(link) = state.links.get_mut(&self.link) else {
            return Err(closed());
        };
        let way = Way {
            link: self.link,
            from: link.party(1 - self.side),
            to: link.party(self.side),
        };
        let direction = &mut link.directions[self.side];
        let before = into.len();
        while into.len() - before < limit {
            match direction.frames.front() {
                Some((at, _)) if *at <= now => {
                    into.extend(direction.frames.pop_front().map(|(_, frame)| frame));
                }
                _ => break,
            }
        }
        if into.len() > before {
            drop(state);
            for frame in &into[before..] {
                let length = frame.len() as u64;
                self.network.executor.step_taken(way.to, "frame", length);
                self.network.see(way, frame, FrameFate::Delivered);
            }
            return Ok(None);
        }
        let next = direction.frames.front().map(|(at, _)| *at);
        if !link.open && next.is_none() {
            return Err(closed());
        }
        Ok(Some(Wait {
            next,
            arrived: Arc::clone(&direction.arrived),
        }))
    }
}

struct Wait {
    next: Option<Duration>,
    arrived: Arc<Notify>,
}

#[async_trait]
impl Connection for SimConnection {
    fn peer(&self) -> String {
        format!("link {}", self.link)
    }

    async fn send(&self, frames: &[Bytes]) -> Result<()> {
        self.network.deliver(self.link, self.side, frames)
    }

    async fn receive(&self, frames: &mut Vec<Bytes>, limit: usize) -> Result<()> {
        loop {
            let Some(wait) = self.take(frames, limit)? else {
                return Ok(());
            };
            let arrived = wait.arrived.notified();
            match wait.next {
                None => arrived.await,
                Some(at) => {
                    let mut due = self.network.executor.pass_until(at).fuse();
                    let arrived = arrived.fuse();
                    pin_mut!(arrived);
                    select_biased! {
                        () = due => {}
                        () = arrived => {}
                    }
                }
            }
        }
    }

    async fn close(&self) {
        if let Some(link) = self.network.lock().links.get_mut(&self.link) {
            link.close();
        }
    }
}

impl Drop for SimConnection {
    fn drop(&mut self) {
        let mut state = self.network.lock();
        let Some(link) = state.links.get_mut(&self.link) else {
            return;
        };
        // A party that crashed silently closes nothing.
        if link.party(self.side) != NOBODY {
            link.close();
            link.set_party(self.side, NOBODY);
        }
        if link.parties == (NOBODY, NOBODY) {
            state.links.remove(&self.link);
        }
    }
}
