//! The client's state machine, with a server that says anything.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::protocol::{Message, Selector};
use grid_core::replica::{LocalWrite, Note, Now, Replica};
use grid_core::traits::{Codec, CodecLimits};
use grid_core::{Key, OpId, Result, RunId};

use crate::conversation::{self, NOW_MS};
use crate::script::Script;
use crate::store::Store;
use crate::target::{Seed, Target};
use crate::wire;

pub(super) const TARGET: Target = Target {
    name: "replica",
    promise: "a client never panics and never loses an op without a verdict, whatever the server \
              says; its store opens again and shows the same",
    run,
    seeds,
};

/// Most things that happen in one input.
const MOST_STEPS: usize = 200;

struct Device {
    replica: Replica,
    store: Store,
    runs: u64,
    elapsed: Duration,
    /// Ops that are stored, and those of them that have no verdict yet.
    written: BTreeSet<OpId>,
    pending: BTreeSet<OpId>,
    /// Ops whose verdict the present process told.
    decided: BTreeSet<OpId>,
}

fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut device = Device::new();
    for _ in 0..MOST_STEPS {
        if script.is_over() {
            break;
        }
        device.step(&mut script);
        device.check();
    }
    device.reopen();
    device.check();
}

impl Device {
    fn new() -> Self {
        let store = Store::default();
        let mut device = Self {
            replica: store.load(RunId(1)).expect("an empty store"),
            store,
            runs: 1,
            elapsed: Duration::ZERO,
            written: BTreeSet::new(),
            pending: BTreeSet::new(),
            decided: BTreeSet::new(),
        };
        device.open_map();
        device.save(Vec::new());
        device
    }

    fn open_map(&mut self) {
        let opened = self.replica.open_map(&Store::map(), Selector::All);
        opened.expect("a map can be opened");
    }

    fn now(&self) -> Now {
        let passed = u64::try_from(self.elapsed.as_millis()).expect("a short run");
        Now {
            wall_ms: NOW_MS + passed,
            elapsed: self.elapsed,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0..=2 => {
                let write = write(script);
                self.save(vec![write]);
            }
            3 => self.connect(script),
            4 | 5 => {
                let now = self.now();
                // What the client sends can be sent.
                for message in std::iter::from_fn(|| self.replica.next_message(now)).take(20) {
                    assert_eq!(over_the_wire(&message), message);
                }
            }
            6 => {
                self.elapsed += Duration::from_millis(script.short().into());
                let ticked = self.replica.tick(self.now());
                self.after(&ticked);
            }
            7 => self.save(Vec::new()),
            8 if script.rarely(4) => self.reopen(),
            9 => self.fail(write(script)),
            10 => self.frame(&script.bytes(600)),
            _ => {
                let message = conversation::of_server(script);
                self.receive(message);
            }
        }
    }

    fn connect(&mut self, script: &mut Script<'_>) {
        let now = self.now();
        let hello = self.replica.connect(vec!["cbor".to_owned()], None, now);
        let hello = Message::Hello(hello);
        assert_eq!(over_the_wire(&hello), hello);
        let welcome = conversation::welcome(script);
        self.receive(welcome);
    }

    /// A frame, if it is one.
    fn frame(&mut self, bytes: &[u8]) {
        let frame = Bytes::copy_from_slice(bytes);
        if let Ok(message) = CborCodec.decode(frame, &CodecLimits::default()) {
            self.receive(message);
        }
    }

    fn receive(&mut self, message: Message) {
        // Only what fits into a frame can come.
        if CborCodec.encode(&message, &mut BytesMut::new()).is_err() {
            return;
        }
        let received = self.replica.receive(message, self.now());
        self.after(&received);
    }

    fn after(&mut self, result: &Result<()>) {
        if result.is_err() {
            self.replica.disconnect();
            assert!(!self.replica.is_connected());
        }
        if self.replica.wants_run() {
            self.runs += 1;
            let begun = self.replica.begin_run(RunId(self.runs), self.now());
            begun.expect("a run that was never used");
        }
        self.note();
    }

    fn note(&mut self) {
        for note in self.replica.take_notes() {
            if let Note::Decided { op, .. } = note {
                assert!(self.decided.insert(op), "{op} is decided twice");
                assert!(self.written.contains(&op), "{op} was never written");
                self.pending.remove(&op);
            }
        }
    }

    fn save(&mut self, writes: Vec<LocalWrite>) {
        let now = self.now().wall_ms;
        // A value that the server said is too large is refused.
        let Ok(Some(mut save)) = self.replica.begin_save(writes, now) else {
            return;
        };
        self.store.apply(std::mem::take(&mut save.batch));
        self.pending.extend(save.ops());
        self.written.extend(save.ops());
        self.replica.saved(save);
        self.note();
    }

    /// The store takes nothing of it.
    fn fail(&mut self, write: LocalWrite) {
        let now = self.now().wall_ms;
        if let Ok(Some(save)) = self.replica.begin_save(vec![write], now) {
            self.replica.failed(save);
        }
        self.note();
    }

    /// The program ends in order, and is started again.
    fn reopen(&mut self) {
        self.replica.disconnect();
        self.note();
        self.save(Vec::new());
        // How far the server's clock is ahead is measured on a connection and not stored, so what
        // is due is compared at one instant of the server's, not at one of the wall clock.
        let at_ms = self.replica.server_time(0);
        let (seen, held) = (self.seen(0), self.held());
        self.runs += 1;
        self.decided.clear();
        let loaded = self.store.load(RunId(self.runs));
        self.replica = loaded.expect("a store that only this program wrote");
        self.open_map();
        assert_eq!(self.replica.server_time(at_ms), at_ms);
        assert_eq!(self.seen(at_ms), seen, "the store shows the same");
        assert_eq!(self.held(), held, "and as much of what is due");
    }

    /// What the application sees when the wall clock says `now_ms`.
    fn seen(&self, now_ms: u64) -> Vec<(Key, Bytes)> {
        let map = Store::map();
        let entries = self.replica.entries(&map, now_ms);
        entries
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// How many entries there are, with those that are hidden because they are due.
    fn held(&self) -> usize {
        let maps = self.replica.status().maps;
        let map = maps.iter().find(|status| status.map == Store::map());
        map.map_or(0, |status| status.entries)
    }

    fn check(&self) {
        // Those that have one may still wait for the change that it names.
        let pending = self.replica.pending();
        assert!(
            pending >= self.pending.len(),
            "ops without a verdict are lost"
        );
        assert!(pending <= self.written.len(), "ops that nobody wrote");
        assert_eq!(self.replica.len(&Store::map(), 0), self.seen(0).len());
        assert!(self.replica.unsaved_bytes() < 64 << 20);
    }
}

fn write(script: &mut Script<'_>) -> LocalWrite {
    LocalWrite {
        map: Store::map(),
        key: conversation::key(script),
        action: conversation::action(script),
        if_version: script.rarely(4).then(|| conversation::stamp(script)),
        schema: 0,
        ack: None,
    }
}

fn over_the_wire(message: &Message) -> Message {
    let mut frame = BytesMut::new();
    let written = CborCodec.encode(message, &mut frame);
    written.expect("what a client says can be written");
    let read = CborCodec.decode(frame.freeze(), &CodecLimits::default());
    read.expect("and read")
}

/// Conversations: a greeting, writes, and one message of every kind as a frame.
fn seeds() -> Vec<Seed> {
    let greeting: &[u8] = &[3, 0, 0, 0, 0, 0, 2, 0];
    let mut seeds = vec![Seed::new("greeting", greeting)];
    for (name, message) in wire::messages() {
        let mut frame = BytesMut::new();
        let written = CborCodec.encode(&message, &mut frame);
        written.expect("it fits");
        let Ok(length) = u16::try_from(frame.len()) else {
            continue;
        };
        let write = [0, 1, 0, 3, 0, 0];
        let frame = [&[10], &length.to_le_bytes()[..], &frame].concat();
        let parts: [&[u8]; 4] = [greeting, &write, &[4], &frame];
        seeds.push(Seed::new(name, parts.concat()));
    }
    let long = (0..400_u16).map(|place| place.wrapping_mul(73).to_le_bytes()[0]);
    seeds.push(Seed::new(
        "long",
        [greeting, &long.collect::<Vec<_>>()].concat(),
    ));
    seeds
}
