//! Every short life of a device's clock: writes at any wall time, versions of others, stores that
//! fail, and restarts.

use std::time::Duration;

use bytes::Bytes;
use grid_core::codec::decode_ops;
use grid_core::op::Action;
use grid_core::protocol::{
    Delta, DeltaMode, MapDefinition, Message, Selector, Subscribed, ViewId, Welcome,
};
use grid_core::replica::{LocalWrite, Now, Replica};
use grid_core::traits::{Batch, Table, Write};
use grid_core::{
    History, Hlc, MapName, Namespace, OpId, PartitionId, Record, RunId, Sequence, Stamp,
};
use grid_storage_memory::Tables;

use crate::lives::each_life;
use crate::versions::key;

/// Wall times, in milliseconds: back, again, forward.
const WALL_MS: [u64; 3] = [900, 1_000, 1_001];
/// What another device wrote: before, with a full counter, and later than any wall clock here.
const SEEN: [Hlc; 3] = [
    Hlc::new(800, 3),
    Hlc::new(1_000, u16::MAX),
    Hlc::new(1_002, 0),
];
/// Things that happen in one life; all of 12 ^ 4 lives are lived.
const LENGTH: u32 = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(u64),
    /// The store takes nothing, or says so though it took everything.
    Fail(u64, bool),
    /// A version of another device arrives.
    Hear(Hlc),
    /// What was heard is stored.
    Save,
    /// The program dies.
    Die,
}

fn steps() -> Vec<Step> {
    let mut steps = WALL_MS.map(Step::Write).to_vec();
    steps.extend(SEEN.map(Step::Hear));
    for took in [false, true] {
        steps.extend([900, 1_001].map(|wall_ms| Step::Fail(wall_ms, took)));
    }
    steps.extend([Step::Save, Step::Die]);
    steps
}

fn map() -> MapName {
    MapName::new("m").unwrap()
}

#[derive(Debug)]
struct Device {
    store: Tables,
    replica: Replica,
    run: u64,
    heard: u64,
    /// The highest time that the device ever wrote, or knew and had stored.
    floor: Hlc,
    /// The highest time that it heard and has not stored.
    unsaved: Hlc,
}

fn load(store: &Tables, run: u64) -> Replica {
    store.load(Namespace::default(), RunId(run)).unwrap()
}

/// The times of the ops in a batch.
fn times(batch: &Batch) -> Vec<Hlc> {
    let ops = batch.writes.iter().filter_map(|write| match write {
        Write::Put { table, value, .. } if *table == Table::Log => Some(decode_ops(value).unwrap()),
        _ => None,
    });
    ops.flatten().map(|op| op.hlc).collect()
}

impl Device {
    fn new() -> Self {
        let store = Tables::default();
        let mut device = Self {
            replica: load(&store, 1),
            store,
            run: 1,
            heard: 0,
            floor: Hlc::ZERO,
            unsaved: Hlc::ZERO,
        };
        device.begin();
        device
    }

    /// Follows the map, over a connection of its own.
    fn begin(&mut self) {
        self.replica.open_map(&map(), Selector::All).unwrap();
        let now = now(0);
        self.replica.connect(vec!["cbor".to_owned()], None, now);
        let welcome = Welcome {
            version: 1,
            codec: "cbor".to_owned(),
            now_ms: 0,
            history: History(1),
            partition_count: 1,
            digest_key: 1,
            max_value_bytes: 100,
            push_window: 100,
            heartbeat_ms: 1_000,
        };
        self.hear(Message::Welcome(welcome));
        let subscribed = Subscribed {
            request: 1,
            view: ViewId(1),
            definition: MapDefinition {
                spread: 1,
                schema: 0,
            },
        };
        self.hear(Message::Subscribed(subscribed));
    }

    fn hear(&mut self, message: Message) {
        self.replica.receive(message, now(0)).unwrap();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(wall_ms) => {
                let save = self.replica.begin_save(vec![write()], wall_ms);
                let save = save.unwrap().unwrap();
                self.store(&save.batch, wall_ms);
                self.replica.saved(save);
            }
            Step::Fail(wall_ms, took) => {
                let save = self.replica.begin_save(vec![write()], wall_ms);
                let save = save.unwrap().unwrap();
                if took {
                    self.store(&save.batch, wall_ms);
                }
                self.replica.failed(save);
            }
            Step::Hear(hlc) => {
                self.heard += 1;
                self.hear(delta(hlc, self.heard));
                self.unsaved = self.unsaved.max(hlc);
            }
            Step::Save => {
                if let Some(save) = self.replica.begin_save(Vec::new(), 0).unwrap() {
                    self.store.apply(save.batch.clone()).unwrap();
                    self.replica.saved(save);
                }
                self.stored();
            }
            Step::Die => {
                self.run += 1;
                self.replica = load(&self.store, self.run);
                self.unsaved = Hlc::ZERO;
                self.begin();
            }
        }
    }

    /// A write becomes durable.
    fn store(&mut self, batch: &Batch, wall_ms: u64) {
        self.store.apply(batch.clone()).unwrap();
        self.check(&times(batch), wall_ms);
        self.stored();
    }

    fn stored(&mut self) {
        self.floor = self.floor.max(self.unsaved);
    }

    /// A write is later than all that this device wrote, and than all that it knew.
    fn check(&mut self, times: &[Hlc], wall_ms: u64) {
        let [issued] = times else {
            panic!("one write is one op: {times:?}");
        };
        let before = self.floor.max(self.unsaved);
        assert!(*issued > before, "{issued} after {before}");
        assert!(*issued >= Hlc::new(wall_ms, 0));
        // Failed writes may have used some instants up, but no more than there were steps.
        let least = Hlc::new(wall_ms, 0).max(before.next()).as_u64();
        let slack = u64::from(LENGTH);
        let fastest = Hlc::new(WALL_MS[2], 0).as_u64();
        assert!(issued.as_u64() <= least.max(fastest) + slack, "{issued}");
        self.floor = *issued;
    }
}

fn now(wall_ms: u64) -> Now {
    Now {
        wall_ms,
        elapsed: Duration::ZERO,
    }
}

fn write() -> LocalWrite {
    LocalWrite {
        map: map(),
        key: key(),
        action: Action::Remove,
        if_version: None,
        schema: 0,
        ack: None,
    }
}

fn delta(hlc: Hlc, sequence: u64) -> Message {
    let op = OpId {
        run: RunId(99),
        number: sequence,
    };
    Message::Delta(Delta {
        view: ViewId(1),
        partition: PartitionId(0),
        mode: DeltaMode::Changes,
        continued: false,
        from: Sequence::ZERO,
        to: Sequence(sequence),
        records: vec![Record {
            key: key(),
            value: Some(Bytes::from_static(b"\x01")),
            stamp: Stamp { hlc, op },
            sequence: Sequence(sequence),
            expires_at_ms: None,
        }],
        root: None,
    })
}

#[test]
fn no_short_life_of_a_device_writes_back_in_time() {
    let steps = steps();
    assert_eq!(steps.len(), 12);
    let lives = each_life(&steps, LENGTH, |life| {
        let mut device = Device::new();
        life.iter().for_each(|step| device.step(*step));
    });
    assert_eq!(lives, 20_736);
}
