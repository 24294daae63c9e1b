//! The simulated network: connections whose frames take time, stall, break, and may be dropped,
//! doubled or reordered.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, pin_mut, select_biased};
use grid_core::limits::MAX_FRAME_BYTES;
use grid_core::traits::{Connection, Listener, Transport, TransportCapabilities};
use grid_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, mpsc};

use super::executor::{Executor, PartyId};

/// How the links of the world treat frames. Chances are per frame, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFaults {
    /// Least and most time on the way.
    pub delay: (Duration, Duration),
    /// A frame vanishes though the connection lives on. No stream transport does this; the
    /// protocol has to notice all the same.
    pub drop_percent: u64,
    /// A frame arrives twice.
    pub duplicate_percent: u64,
    /// A frame overtakes the one before it.
    pub reorder_percent: u64,
    /// The connection breaks; what is on the way is lost.
    pub reset_percent: u64,
}

impl LinkFaults {
    /// A network that only takes its time.
    #[must_use]
    pub fn healthy() -> Self {
        Self {
            delay: (Duration::from_millis(1), Duration::from_millis(20)),
            drop_percent: 0,
            duplicate_percent: 0,
            reorder_percent: 0,
            reset_percent: 0,
        }
    }
}

struct Direction {
    frames: VecDeque<(Duration, Bytes)>,
    arrived: Arc<Notify>,
}

struct Link {
    parties: (PartyId, PartyId),
    /// Frames on their way to the first and to the second party.
    directions: [Direction; 2],
    open: bool,
}

impl Link {
    fn reset(&mut self) {
        self.open = false;
        for direction in &mut self.directions {
            direction.frames.clear();
            direction.arrived.notify_one();
        }
    }

    /// Ends the link in order: what is on the way still arrives.
    fn close(&mut self) {
        self.open = false;
        self.directions
            .iter()
            .for_each(|direction| direction.arrived.notify_one());
    }

    fn party(&self, side: usize) -> PartyId {
        if side == 0 {
            self.parties.0
        } else {
            self.parties.1
        }
    }

    fn set_party(&mut self, side: usize, party: PartyId) {
        if side == 0 {
            self.parties.0 = party;
        } else {
            self.parties.1 = party;
        }
    }
}

type Accepted = Arc<dyn Connection>;

struct State {
    faults: LinkFaults,
    /// Pairs between which frames vanish (in the order: from, to).
    cut: Vec<(PartyId, PartyId)>,
    listeners: BTreeMap<String, (PartyId, mpsc::UnboundedSender<Accepted>)>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
}

/// The network of one world.
#[derive(Clone)]
pub struct Network {
    executor: Executor,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// A healthy network.
    #[must_use]
    pub fn new(executor: &Executor) -> Self {
        Self {
            executor: executor.clone(),
            state: Arc::new(Mutex::new(State {
                faults: LinkFaults::healthy(),
                cut: Vec::new(),
                listeners: BTreeMap::new(),
                links: BTreeMap::new(),
                next_link: 0,
            })),
        }
    }

    /// The transport of `party`.
    #[must_use]
    pub fn transport(&self, party: PartyId) -> Arc<dyn Transport> {
        Arc::new(SimTransport {
            network: self.clone(),
            party,
        })
    }

    /// Sets how all links treat frames from now on.
    pub fn set_faults(&self, faults: LinkFaults) {
        self.lock().faults = faults;
    }

    /// Lets frames from `from` to `to` vanish; connections stay open and silent.
    pub fn cut(&self, from: PartyId, to: PartyId) {
        self.lock().cut.push((from, to));
    }

    /// Ends all cuts. What vanished stays lost.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.cut.clear();
        state.faults = LinkFaults::healthy();
    }

    /// Breaks what `party` had open; with `silent`, the other sides do not learn of it: they keep
    /// a connection to nobody, on which every frame vanishes.
    pub fn crash(&self, party: PartyId, silent: bool) {
        let mut state = self.lock();
        state.listeners.retain(|_, (owner, _)| *owner != party);
        for link in state.links.values_mut() {
            let side = match link.parties {
                (first, _) if first == party => 0,
                (_, second) if second == party => 1,
                _ => continue,
            };
            if silent {
                link.directions
                    .iter_mut()
                    .for_each(|direction| direction.frames.clear());
                link.set_party(side, NOBODY);
            } else {
                link.reset();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn deliver(&self, link: u64, side: usize, frames: &[Bytes]) -> Result<()> {
        let now = self.executor.now();
        let mut state = self.lock();
        let faults = state.faults;
        let cut = state.cut.clone();
        let Some(link) = state.links.get_mut(&link).filter(|link| link.open) else {
            return Err(closed());
        };
        let (from, to) = (link.party(side), link.party(1 - side));
        if to == NOBODY || cut.contains(&(from, to)) {
            return Ok(());
        }
        if faults.reset_percent > 0 && self.executor.chance(faults.reset_percent) {
            link.reset();
            return Err(closed());
        }
        let direction = &mut link.directions[1 - side];
        for frame in frames {
            self.enqueue(direction, faults, now, frame);
        }
        direction.arrived.notify_one();
        Ok(())
    }

    fn enqueue(&self, direction: &mut Direction, faults: LinkFaults, now: Duration, frame: &Bytes) {
        let roll = |percent: u64| percent > 0 && self.executor.chance(percent);
        if roll(faults.drop_percent) {
            return;
        }
        let range = (faults.delay.1 - faults.delay.0).as_micros();
        let extra = self.executor.below(u64::try_from(range).unwrap_or(0) + 1);
        let after = direction
            .frames
            .back()
            .map_or(Duration::ZERO, |(at, _)| *at);
        let at = (now + faults.delay.0 + Duration::from_micros(extra)).max(after);
        direction.frames.push_back((at, frame.clone()));
        if roll(faults.duplicate_percent) {
            direction.frames.push_back((at, frame.clone()));
        }
        let length = direction.frames.len();
        if length > 1 && roll(faults.reorder_percent) {
            let (first, second) = (
                direction.frames[length - 2].0,
                direction.frames[length - 1].0,
            );
            direction.frames.swap(length - 2, length - 1);
            direction.frames[length - 2].0 = first;
            direction.frames[length - 1].0 = second;
        }
    }
}

/// Stands for a party that is gone without a word.
const NOBODY: PartyId = PartyId(u16::MAX);

fn closed() -> Error {
    Error::new(
        ErrorKind::Closed,
        "simulated connection",
        "the connection is closed",
    )
}

#[derive(Debug)]
struct SimTransport {
    network: Network,
    party: PartyId,
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
        let delay = Duration::from_micros(1000 + executor.below(10_000));
        executor.sleep_until(executor.now() + delay).await;
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
                    let mut due = self.network.executor.sleep_until(at).fuse();
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

#[cfg(test)]
mod tests;
