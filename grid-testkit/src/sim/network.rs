//! The simulated network: connections whose frames take time, stall, break, and may be dropped,
//! doubled or reordered.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use grid_core::traits::{Connection, Transport};
use grid_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, mpsc};

use super::executor::{Executor, PartyId};
use super::frame_watch::{FrameFate, FrameSeen, FrameWatch};
use super::link_faults::LinkFaults;
use super::stream::Stream;
use transport::SimTransport;

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
    watch: FrameWatch,
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
        Self::watched(executor, FrameWatch::default())
    }

    /// A healthy network whose frames are shown to `watch`.
    #[must_use]
    pub fn watched(executor: &Executor, watch: FrameWatch) -> Self {
        Self {
            executor: executor.clone(),
            watch,
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

    /// Breaks what `party` had open; what is on the way is lost.
    pub fn reset(&self, party: PartyId) {
        for link in self.lock().links.values_mut() {
            if link.parties.0 == party || link.parties.1 == party {
                link.reset();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn deliver(&self, number: u64, side: usize, frames: &[Bytes]) -> Result<()> {
        let now = self.executor.now();
        let mut state = self.lock();
        let faults = state.faults;
        let cut = state.cut.clone();
        let Some(link) = state.links.get_mut(&number).filter(|link| link.open) else {
            return Err(closed());
        };
        let way = Way {
            link: number,
            from: link.party(side),
            to: link.party(1 - side),
        };
        if way.to == NOBODY || cut.contains(&(way.from, way.to)) {
            for frame in frames {
                self.see(way, frame, FrameFate::Sent);
                self.see(way, frame, FrameFate::Cut);
            }
            return Ok(());
        }
        for frame in frames {
            self.see(way, frame, FrameFate::Sent);
            if self.rolls(way, faults.reset_percent) {
                self.see(way, frame, FrameFate::Reset);
                link.reset();
                return Err(closed());
            }
            self.enqueue(&mut link.directions[1 - side], way, faults, now, frame);
        }
        link.directions[1 - side].arrived.notify_one();
        Ok(())
    }

    fn rolls(&self, way: Way, percent: u64) -> bool {
        percent > 0 && self.executor.chance(way.stream(), percent)
    }

    fn see(&self, way: Way, frame: &Bytes, fate: FrameFate) {
        self.watch.see(&FrameSeen {
            from: way.from,
            to: way.to,
            link: way.link,
            frame,
            fate,
        });
    }

    fn enqueue(
        &self,
        direction: &mut Direction,
        way: Way,
        faults: LinkFaults,
        now: Duration,
        frame: &Bytes,
    ) {
        if self.rolls(way, faults.drop_percent) {
            self.see(way, frame, FrameFate::Dropped);
            return;
        }
        let (least, most) = faults.delay_ms;
        let range_micros = most.saturating_sub(least).saturating_mul(1000) + 1;
        let micros = least * 1000 + self.executor.below(way.stream(), range_micros);
        let after = direction
            .frames
            .back()
            .map_or(Duration::ZERO, |(at, _)| *at);
        let at = (now + Duration::from_micros(micros)).max(after);
        let mut frame = frame.clone();
        if !frame.is_empty() && self.rolls(way, faults.corrupt_percent) {
            self.see(way, &frame, FrameFate::Corrupted);
            frame = self.corrupt(way, &frame);
        }
        direction.frames.push_back((at, frame.clone()));
        if self.rolls(way, faults.duplicate_percent) {
            self.see(way, &frame, FrameFate::Duplicated);
            direction.frames.push_back((at, frame.clone()));
        }
        let length = direction.frames.len();
        if length > 1 && self.rolls(way, faults.reorder_percent) {
            self.see(way, &frame, FrameFate::Reordered);
            let (first, second) = (
                direction.frames[length - 2].0,
                direction.frames[length - 1].0,
            );
            direction.frames.swap(length - 2, length - 1);
            direction.frames[length - 2].0 = first;
            direction.frames[length - 1].0 = second;
        }
    }

    /// `frame` with some bits inverted, anywhere in it.
    fn corrupt(&self, way: Way, frame: &Bytes) -> Bytes {
        let below = |bound| self.executor.below(way.stream(), bound);
        let mut bytes = frame.to_vec();
        let bits = bytes.len() as u64 * 8;
        // Few are the hardest to notice, and come more often than many.
        let count = 1 + below(1 << below(MOST_INVERTED_BITS_LOG2 + 1));
        for _ in 0..count {
            invert(&mut bytes, below(bits));
        }
        if bytes == *frame {
            invert(&mut bytes, below(bits));
        }
        bytes.into()
    }
}

fn invert(bytes: &mut [u8], bit: u64) {
    let byte = usize::try_from(bit / 8);
    if let Some(byte) = byte.ok().and_then(|at| bytes.get_mut(at)) {
        *byte ^= 1 << (bit % 8);
    }
}

/// The way of a frame.
#[derive(Debug, Clone, Copy)]
struct Way {
    link: u64,
    from: PartyId,
    to: PartyId,
}

impl Way {
    fn stream(self) -> Stream {
        Stream::Link(self.from, self.to)
    }
}

/// The most bits that are inverted in one frame are two to the power of this.
const MOST_INVERTED_BITS_LOG2: u64 = 8;

/// Stands for a party that is gone without a word.
pub const NOBODY: PartyId = PartyId(u16::MAX);

fn closed() -> Error {
    Error::new(
        ErrorKind::Closed,
        "simulated connection",
        "the connection is closed",
    )
}

mod transport;

#[cfg(test)]
mod tests;
