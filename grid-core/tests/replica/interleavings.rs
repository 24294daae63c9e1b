//! Every order in which the messages of two devices can be sent, delivered and lost, over a script
//! of two ops each on one key.
//!
//! Each path is played from its beginning, and a state that was met before is not gone on from.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};

use grid_core::Key;

use crate::world::{World, key};

const DEVICES: usize = 2;
/// Enough for the longest path; one that is longer goes in circles.
const MOST_STEPS: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The device performs its next op.
    Write(usize),
    Send(usize),
    Event(usize),
    Ack(usize),
    Save(usize),
    /// The first device loses its connection, and with it all that is on its way.
    Lose,
    /// The first device's process dies, and with it all that is not saved.
    Die,
    Connect(usize),
}

/// What may go wrong.
#[derive(Debug, Clone, Copy)]
struct Faults {
    ops: [usize; DEVICES],
    losses: usize,
    deaths: usize,
    /// How far the first device's clock is ahead, in milliseconds.
    fast_ms: i64,
}

struct Play {
    world: World,
    key: Key,
    ops: [usize; DEVICES],
    written: [usize; DEVICES],
    losses: usize,
    deaths: usize,
}

impl Play {
    fn new(faults: Faults) -> Self {
        let mut world = World::connected(DEVICES);
        world.devices[0].fast_ms = faults.fast_ms;
        // So that the server measures the clock.
        world.connect(0);
        world.run();
        Self {
            world,
            key: key(1),
            ops: faults.ops,
            written: [0; DEVICES],
            losses: faults.losses,
            deaths: faults.deaths,
        }
    }

    /// Whether a step can do anything, as far as that can be seen from outside.
    fn may(&self, step: Step) -> bool {
        let queue = |id: &usize, acks: bool| {
            let link = self.world.server.links.get(id);
            link.is_some_and(|link| !if acks { &link.acks } else { &link.events }.is_empty())
        };
        match step {
            Step::Write(id) => self.written[id] < self.ops[id],
            Step::Send(id) => self.world.is_connected(id),
            Step::Event(id) => queue(&id, false),
            Step::Ack(id) => queue(&id, true),
            Step::Save(id) => self.world.devices[id].replica.has_unsaved(),
            Step::Lose => self.losses > 0 && self.world.is_connected(0),
            Step::Die => self.deaths > 0,
            Step::Connect(id) => !self.world.is_connected(id),
        }
    }

    /// Takes a step; false when there is nothing to do.
    fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Write(id) => self.write(id),
            Step::Send(id) => self.world.send(id),
            Step::Event(id) => self.hear(id, false),
            Step::Ack(id) => self.hear(id, true),
            Step::Save(id) => self.save(id),
            Step::Lose => {
                let can = self.losses > 0 && self.world.is_connected(0);
                if can {
                    self.losses -= 1;
                    self.world.disconnect(0);
                }
                can
            }
            Step::Die => {
                let can = self.deaths > 0;
                if can {
                    self.deaths -= 1;
                    self.world.crash(0);
                }
                can
            }
            Step::Connect(id) => {
                let can = !self.world.is_connected(id);
                if can {
                    self.world.connect(id);
                }
                can
            }
        }
    }

    /// Delivers a message. Unless the device may die before it saves what it heard, it does so at
    /// once: when else makes no difference to anybody.
    fn hear(&mut self, id: usize, acks: bool) -> bool {
        let heard = self.world.deliver(id, acks).unwrap();
        if heard && self.deaths == 0 {
            self.save(id);
        }
        heard
    }

    fn save(&mut self, id: usize) -> bool {
        let unsaved = self.world.devices[id].replica.has_unsaved();
        if unsaved {
            let now_ms = self.world.now_ms();
            self.world.devices[id].save(now_ms);
        }
        unsaved
    }

    /// Device 0 puts; device 1 puts, and removes at last.
    fn write(&mut self, id: usize) -> bool {
        let number = self.written[id];
        if number == self.ops[id] {
            return false;
        }
        self.written[id] += 1;
        let value = u64::try_from(10 * (id + 1) + number).unwrap();
        let key = self.key.clone();
        let removes = id == 1 && self.written[1] == self.ops[1];
        if removes {
            self.world.remove(id, &key);
        } else {
            self.world.put(id, &key, value);
        }
        let own = (!removes).then_some(value);
        assert_eq!(self.world.get(id, &key), own, "a device reads its write");
        true
    }

    /// The whole state, but for what was only noted down on the way.
    fn fingerprint(&mut self) -> u64 {
        for device in &mut self.world.devices {
            device.changes.clear();
            device.synced.clear();
        }
        let mut text = String::new();
        let left = (self.written, self.losses, self.deaths);
        write!(
            text,
            "{left:?}{:?}{:?}",
            self.world.server, self.world.devices
        )
        .unwrap();
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    /// Nothing can happen any more.
    fn check_end(&mut self) {
        self.world.assert_level();
        let decided = self
            .world
            .devices
            .iter()
            .map(|device| device.verdicts.len());
        assert_eq!(
            decided.sum::<usize>(),
            self.ops.iter().sum::<usize>(),
            "every op has its verdict"
        );
        // The last op of one of the devices has won: a run's ops keep their order.
        let end = self.world.truth().get(&self.key).copied();
        let put = u64::try_from(10 + self.ops[0] - 1).unwrap();
        assert!([Some(put), None].contains(&end), "{end:?}");
    }
}

/// What was looked at.
#[derive(Debug, Default)]
struct Explored {
    states: usize,
    /// How the key ended.
    outcomes: BTreeSet<Option<u64>>,
}

fn play(faults: Faults, path: &[Step]) -> Play {
    let mut play = Play::new(faults);
    for step in path {
        play.take(*step);
    }
    play
}

fn explore(faults: Faults) -> Explored {
    let kinds = [
        Step::Write,
        Step::Send,
        Step::Event,
        Step::Ack,
        Step::Save,
        Step::Connect,
    ];
    let of_all = kinds.iter().flat_map(|kind| (0..DEVICES).map(kind));
    let steps: Vec<Step> = of_all.chain([Step::Lose, Step::Die]).collect();
    let mut explored = Explored::default();
    let mut seen = BTreeSet::new();
    let mut left = vec![(Vec::new(), Play::new(faults))];
    while let Some((path, here)) = left.pop() {
        assert!(path.len() < MOST_STEPS, "it goes in circles: {path:?}");
        explored.states += 1;
        let may: Vec<Step> = steps
            .iter()
            .copied()
            .filter(|step| here.may(*step))
            .collect();
        // The last step goes on from here; the others need a world of their own.
        let mut here = Some(here);
        let mut ended = true;
        for (place, step) in may.iter().enumerate() {
            let own = if place + 1 == may.len() {
                here.take()
            } else {
                None
            };
            let mut next = own.unwrap_or_else(|| play(faults, &path));
            if !next.take(*step) {
                here = here.or(Some(next));
                continue;
            }
            ended &= matches!(step, Step::Lose | Step::Die);
            if seen.insert(next.fingerprint()) {
                left.push(([&path[..], &[*step]].concat(), next));
            }
        }
        if ended {
            let mut end = here.unwrap_or_else(|| play(faults, &path));
            end.check_end();
            explored.outcomes.insert(end.world.get(0, &end.key));
        }
    }
    explored
}

/// All there is was looked at, and either device can win.
fn check(faults: Faults, least_states: usize) {
    let explored = explore(faults);
    assert!(explored.states >= least_states, "{explored:?}");
    let put = u64::try_from(10 + faults.ops[0] - 1).unwrap();
    assert_eq!(explored.outcomes, [None, Some(put)].into());
}

const NONE: Faults = Faults {
    ops: [1, 1],
    losses: 0,
    deaths: 0,
    fast_ms: 0,
};

#[test]
fn every_order_of_three_writes_ends_level() {
    let faults = Faults {
        ops: [2, 1],
        ..NONE
    };
    check(faults, 1_500);
}

#[test]
fn every_loss_of_a_connection_ends_level() {
    check(Faults { losses: 1, ..NONE }, 1_000);
}

#[test]
fn every_death_of_a_device_ends_level() {
    check(Faults { deaths: 1, ..NONE }, 1_000);
}

#[test]
fn every_order_of_a_fast_and_a_true_clock_ends_level() {
    let faults = Faults {
        ops: [2, 1],
        fast_ms: 100_000,
        ..NONE
    };
    check(faults, 2_000);
}
