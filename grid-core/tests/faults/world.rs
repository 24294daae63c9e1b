//! Devices, a server, and the connections between them, in one thread and frame by frame.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::protocol::{Message, Selector, read_frame, write_frame};
use grid_core::replica::{LocalWrite, Now};
use grid_core::traits::CodecLimits;

use super::device::{Device, map};
use super::server::Server;

pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// Frames under way.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) up: VecDeque<Bytes>,
    pub(crate) down: VecDeque<Bytes>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) devices: Vec<Device>,
    pub(crate) links: Vec<Option<Link>>,
    /// What the server heard, and from whom.
    pub(crate) heard: Vec<(usize, Message)>,
    /// Why connections ended that nobody cut.
    pub(crate) ended: Vec<String>,
    now_ms: u64,
}

fn encode(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    write_frame(&CborCodec, message, &mut buffer).unwrap();
    buffer.freeze()
}

fn decode(frame: Bytes) -> Message {
    read_frame(&CborCodec, frame, &CodecLimits::default()).unwrap()
}

impl World {
    /// A server with four partitions over which maps are spread, and a device for each selector.
    pub(crate) fn new(selectors: &[Selector]) -> Self {
        let devices = (1..).zip(selectors);
        Self {
            server: Server::new(4, 4, START_MS),
            devices: devices
                .map(|(n, selector)| Device::new(n * 1_000, selector.clone()))
                .collect(),
            links: selectors.iter().map(|_| None).collect(),
            heard: Vec::new(),
            ended: Vec::new(),
            now_ms: START_MS,
        }
    }

    pub(crate) fn with_devices(count: usize) -> Self {
        Self::new(&vec![Selector::All; count])
    }

    /// The time on a device.
    pub(crate) fn now(&self, at: usize) -> Now {
        Now {
            wall_ms: self.now_ms.saturating_add_signed(self.devices[at].ahead_ms),
            elapsed: Duration::from_millis(self.now_ms - START_MS),
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.server.now_ms = self.now_ms;
    }

    /// Writes and makes durable.
    pub(crate) fn write(&mut self, at: usize, writes: Vec<LocalWrite>) {
        self.pass(1);
        let now = self.now(at);
        self.devices[at].save(writes, now);
    }

    pub(crate) fn connect(&mut self, at: usize) {
        self.cut(at);
        let now = self.now(at);
        let hello = self.devices[at]
            .replica
            .connect(vec!["cbor".to_owned()], None, now);
        let mut link = Link::default();
        link.up.push_back(encode(&Message::Hello(hello)));
        self.links[at] = Some(link);
    }

    /// The connection is lost, with all that is under way.
    pub(crate) fn cut(&mut self, at: usize) {
        if self.links[at].take().is_some() {
            self.devices[at].replica.disconnect();
            let now = self.now(at);
            self.devices[at].settle(now);
            self.server.sessions.remove(&at);
        }
    }

    /// The device gives its connection what there is to send.
    pub(crate) fn send(&mut self, at: usize) {
        let now = self.now(at);
        let Some(link) = &mut self.links[at] else {
            return;
        };
        let replica = &mut self.devices[at].replica;
        while let Some(message) = replica.next_message(now) {
            link.up.push_back(encode(&message));
        }
    }

    /// One frame reaches the server; false when there was none.
    pub(crate) fn deliver_up(&mut self, at: usize) -> bool {
        let Some(link) = &mut self.links[at] else {
            return false;
        };
        let Some(frame) = link.up.pop_front() else {
            return false;
        };
        let message = decode(frame);
        self.heard.push((at, message.clone()));
        if !self.server.receive(at, message) {
            self.ended.push("by the server".to_owned());
            self.cut(at);
        }
        self.collect();
        true
    }

    /// What the server has to send goes onto the connections.
    pub(crate) fn collect(&mut self) {
        for (at, session) in &mut self.server.sessions {
            let Some(link) = &mut self.links[*at] else {
                continue;
            };
            for message in session.out.drain(..) {
                link.down.push_back(encode(&message));
            }
        }
    }

    /// One frame reaches the device; false when there was none.
    pub(crate) fn deliver_down(&mut self, at: usize) -> bool {
        let now = self.now(at);
        let Some(link) = &mut self.links[at] else {
            return false;
        };
        let Some(frame) = link.down.pop_front() else {
            return false;
        };
        let received = self.devices[at].replica.receive(decode(frame), now);
        self.devices[at].settle(now);
        if let Err(error) = received {
            self.ended.push(error.to_string());
            self.cut(at);
        }
        true
    }

    /// One device connects if need be, and everybody says what there is to say.
    pub(crate) fn heal_only(&mut self, at: usize) {
        if self.links[at].is_none() {
            self.connect(at);
        }
        self.quiesce();
    }

    /// Delivers and stores until nothing moves any more.
    pub(crate) fn quiesce(&mut self) {
        loop {
            let mut moved = false;
            for at in 0..self.devices.len() {
                self.send(at);
                moved |= self.deliver_up(at);
                moved |= self.deliver_down(at);
                let now = self.now(at);
                if self.devices[at].saving.is_some() || self.devices[at].replica.has_unsaved() {
                    self.devices[at].save(Vec::new(), now);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Everybody connects, waits as long as the server asks, and gets level with it.
    pub(crate) fn heal(&mut self) {
        self.server.defer_after = None;
        self.server.hold_levels = false;
        for _ in 0..20 {
            for at in 0..self.devices.len() {
                if self.links[at].is_none() {
                    self.connect(at);
                }
            }
            let sessions: Vec<usize> = self.server.sessions.keys().copied().collect();
            for at in sessions {
                self.server.tell_held(at, None);
            }
            self.collect();
            self.quiesce();
            if self.devices.iter().all(|d| d.replica.is_flushed()) {
                return;
            }
            self.pass(1_000);
        }
        panic!(
            "{:#?}",
            self.devices
                .iter()
                .map(|d| d.replica.status())
                .collect::<Vec<_>>()
        );
    }

    /// A connection on which everything so far is said, but for what the server holds.
    pub(crate) fn connect_and_talk(&mut self, at: usize) {
        self.connect(at);
        self.quiesce();
    }

    /// Frames reach the server until none is under way, and its answers stay under way.
    pub(crate) fn send_all(&mut self, at: usize) {
        self.send(at);
        while self.deliver_up(at) {}
    }

    /// Everything under way reaches the device, which stores nothing of it.
    pub(crate) fn receive_all(&mut self, at: usize) {
        while self.deliver_down(at) {}
    }

    /// What is under way to a device and `wanted` reaches it, and the rest does not.
    pub(crate) fn receive_only(&mut self, at: usize, wanted: impl Fn(&Message) -> bool) {
        let down = std::mem::take(&mut self.links[at].as_mut().unwrap().down);
        for message in down.into_iter().map(decode) {
            if wanted(&message) {
                self.tell(at, message).unwrap();
            }
        }
    }

    /// Hands a device a message of the server.
    pub(crate) fn tell(&mut self, at: usize, message: Message) -> grid_core::Result<()> {
        let now = self.now(at);
        let received = self.devices[at].replica.receive(message, now);
        self.devices[at].settle(now);
        received
    }

    /// A key of map `m` that lies in a partition.
    pub(crate) fn key_in(&self, partition: usize) -> String {
        let placement = self.server.placement(&map());
        let mut names = (0..).map(|number| format!("k{number}"));
        let there = |name: &String| {
            let key = super::device::key(name);
            usize::from(placement.partition(&key).0) == partition
        };
        names.find(there).unwrap()
    }

    /// A heartbeat of a device, and the server's answer.
    pub(crate) fn heartbeat(&mut self, at: usize) {
        self.pass(u64::from(super::server::HEARTBEAT_MS));
        let now = self.now(at);
        self.devices[at].replica.tick(now).unwrap();
        self.quiesce();
    }

    /// The live entries that the server has of map `m` and `selector` matches.
    pub(crate) fn truth(&self, selector: &Selector) -> Vec<(String, u8)> {
        let budget = grid_core::partition::Budget {
            records: usize::MAX,
            bytes: usize::MAX,
        };
        let mut entries: Vec<(String, u8)> = self
            .server
            .partitions
            .iter()
            .flat_map(|p| {
                p.page(&super::server::address(&map()), selector, None, budget)
                    .records
            })
            .map(|record| (record.key.to_string(), record.value.unwrap()[0]))
            .collect();
        entries.sort();
        entries
    }
}
