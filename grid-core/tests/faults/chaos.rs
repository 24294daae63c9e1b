//! Whatever happens: nobody sees an own write go back, or anybody's state, and all end up level.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::OpId;
use grid_core::protocol::{Selector, Verdict};
use proptest::prelude::*;

use super::device::{Device, put, remove};
use super::server::FORBIDDEN;
use super::world::World;

/// Keys of which device 0 is the only writer, and those that everybody writes.
const OWN_KEYS: [&str; 3] = ["own/1", "own/2", "solo"];
const SHARED_KEYS: [&str; 3] = ["shared/1", "shared/2", "other"];

#[derive(Debug, Clone)]
enum Step {
    /// Device 0 writes keys of its own, by index; an even choice removes.
    Own(Vec<(usize, bool)>),
    Shared(usize, usize, u8),
    Forbidden(usize),
    BeginSave(usize),
    EndSave(usize),
    FailSave(usize),
    Connect(usize),
    Cut(usize),
    /// The process dies; with `true` the batch on its way is stored all the same.
    Crash(usize, bool),
    Send(usize),
    Up(usize, usize),
    Down(usize, usize),
    Pass(u64),
    Heartbeat(usize),
    DeferAfter(usize),
    EventsFirst(bool),
    HoldLevels(bool),
    TellHeld(usize),
    KeepHouse,
    NewHistory,
}

fn step(devices: usize) -> impl Strategy<Value = Step> {
    let device = 0..devices;
    let d = move || device.clone();
    prop_oneof![
        6 => prop::collection::vec((0..OWN_KEYS.len(), any::<bool>()), 1..4).prop_map(Step::Own),
        4 => (d(), 0..SHARED_KEYS.len(), 0..9u8).prop_map(|(d, k, v)| Step::Shared(d, k, v)),
        1 => d().prop_map(Step::Forbidden),
        3 => d().prop_map(Step::BeginSave),
        4 => d().prop_map(Step::EndSave),
        1 => d().prop_map(Step::FailSave),
        4 => d().prop_map(Step::Connect),
        1 => d().prop_map(Step::Cut),
        1 => (d(), any::<bool>()).prop_map(|(d, stored)| Step::Crash(d, stored)),
        8 => d().prop_map(Step::Send),
        8 => (d(), 1..6usize).prop_map(|(d, n)| Step::Up(d, n)),
        8 => (d(), 1..8usize).prop_map(|(d, n)| Step::Down(d, n)),
        2 => (0..2_000u64).prop_map(Step::Pass),
        1 => d().prop_map(Step::Heartbeat),
        1 => (0..6usize).prop_map(Step::DeferAfter),
        1 => any::<bool>().prop_map(Step::EventsFirst),
        1 => any::<bool>().prop_map(Step::HoldLevels),
        2 => d().prop_map(Step::TellHeld),
        1 => Just(Step::KeepHouse),
        1 => Just(Step::NewHistory),
    ]
}

/// What a key of device 0 was, one state after the other.
#[derive(Debug)]
struct Chronicle {
    states: Vec<Option<u8>>,
    /// Where each device stands; the owner stands at the end.
    seen: Vec<usize>,
}

struct Game {
    world: World,
    chronicles: Vec<Chronicle>,
    /// Writes of device 0 that are on their way to its store.
    saving: Vec<(usize, Option<u8>)>,
    /// The next value of an own key.
    next: u8,
    /// Histories renumber; with fast clocks they would also stamp anew.
    histories: bool,
}

impl Game {
    fn new(selectors: &[Selector], ahead_ms: i64) -> Self {
        let mut world = World::new(selectors);
        world.devices[0].ahead_ms = ahead_ms;
        world.server.rules.retention_ms = 4_000;
        let chronicle = || Chronicle {
            states: vec![None],
            seen: vec![0; selectors.len()],
        };
        Self {
            world,
            chronicles: OWN_KEYS.iter().map(|_| chronicle()).collect(),
            saving: Vec::new(),
            next: 10,
            histories: ahead_ms == 0,
        }
    }

    fn begin_save(&mut self, at: usize, writes: Vec<grid_core::replica::LocalWrite>) {
        self.end_save(at);
        self.world.pass(1);
        let now = self.world.now(at);
        self.world.devices[at].begin_save(writes, now);
    }

    fn end_save(&mut self, at: usize) {
        let now = self.world.now(at);
        self.world.devices[at].end_save(now);
        if at == 0 {
            self.own_writes_are_durable();
        }
    }

    fn own_writes_are_durable(&mut self) {
        for (key, state) in self.saving.drain(..) {
            self.chronicles[key].states.push(state);
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Own(writes) => {
                self.end_save(0);
                let mut batch = Vec::new();
                for (key, removes) in writes {
                    let state = (!removes).then_some(self.next);
                    self.next = self.next.saturating_add(1);
                    batch.push(state.map_or_else(
                        || remove(OWN_KEYS[*key]),
                        |value| put(OWN_KEYS[*key], value),
                    ));
                    self.saving.push((*key, state));
                }
                let saving = std::mem::take(&mut self.saving);
                self.begin_save(0, batch);
                self.saving = saving;
            }
            Step::Shared(at, key, value) => {
                let write = match value {
                    0..3 => remove(SHARED_KEYS[*key]),
                    value => put(SHARED_KEYS[*key], *value),
                };
                self.begin_save(*at, vec![write]);
            }
            Step::Forbidden(at) => self.begin_save(*at, vec![put(&format!("{FORBIDDEN}1"), 1)]),
            Step::BeginSave(at) => self.begin_save(*at, Vec::new()),
            Step::EndSave(at) => self.end_save(*at),
            Step::FailSave(at) => {
                let now = self.world.now(*at);
                self.world.devices[*at].fail_save(now);
                if *at == 0 {
                    self.saving.clear();
                }
            }
            Step::Crash(at, stored) => self.crash(*at, *stored),
            other => self.disturb(other),
        }
    }

    fn crash(&mut self, at: usize, stored: bool) {
        if stored {
            self.end_save(at);
        } else if at == 0 {
            self.saving.clear();
        }
        self.world.cut(at);
        self.world.devices[at].restart();
        for chronicle in &mut self.chronicles {
            chronicle.seen[at] = 0;
        }
    }

    fn disturb(&mut self, step: &Step) {
        let world = &mut self.world;
        match *step {
            Step::Connect(at) if world.links[at].is_none() => world.connect(at),
            Step::Cut(at) => world.cut(at),
            Step::Send(at) => world.send(at),
            Step::Up(at, frames) => {
                for _ in 0..frames {
                    world.deliver_up(at);
                }
            }
            Step::Down(at, frames) => {
                for _ in 0..frames {
                    world.deliver_down(at);
                }
            }
            Step::Pass(ms) => world.pass(ms),
            Step::Heartbeat(at) => {
                world.pass(u64::from(super::server::HEARTBEAT_MS));
                let now = world.now(at);
                if world.devices[at].replica.tick(now).is_err() {
                    world.cut(at);
                }
            }
            Step::DeferAfter(ops) => world.server.defer_after = Some(ops),
            Step::EventsFirst(first) => world.server.events_first = first,
            Step::HoldLevels(hold) => world.server.hold_levels = hold,
            Step::TellHeld(at) if world.server.sessions.contains_key(&at) => {
                world.server.tell_held(at, None);
                world.collect();
            }
            Step::KeepHouse => {
                world.server.keep_house();
                world.collect();
            }
            Step::NewHistory if self.histories => {
                for at in 0..world.devices.len() {
                    world.cut(at);
                }
                world.server.begin_history();
            }
            _ => {}
        }
    }

    /// The owner sees what it wrote last; the others see its states in their order.
    fn check(&mut self) {
        for (key, chronicle) in OWN_KEYS.iter().zip(&mut self.chronicles) {
            for (at, device) in self.world.devices.iter().enumerate() {
                if !device.selector.matches(&super::device::key(key)) {
                    continue;
                }
                let value = device.value(key);
                if at == 0 {
                    let last = *chronicle.states.last().unwrap();
                    assert_eq!(value, last, "own key {key} after {:?}", chronicle.states);
                    continue;
                }
                let seen = &mut chronicle.seen[at];
                let later = chronicle.states[*seen..].iter().position(|s| *s == value);
                let Some(later) = later else {
                    panic!(
                        "device {at} saw {key} go back to {value:?}: {:?}",
                        chronicle.states
                    );
                };
                *seen += later;
            }
        }
    }

    fn finish(mut self) {
        for at in 0..self.world.devices.len() {
            self.end_save(at);
        }
        self.world.heal();
        self.check();
        for device in &self.world.devices {
            assert_eq!(device.entries(), self.world.truth(&device.selector));
            check_verdicts(device);
        }
        assert_eq!(self.world.ended, [""; 0], "connections that nobody cut");
    }
}

/// Every durable op was decided; whoever was told otherwise than "accepted" heard it once more at
/// most, after a crash.
fn check_verdicts(device: &Device) {
    let decided: BTreeMap<OpId, Verdict> = device.decided.iter().cloned().collect();
    let written: BTreeSet<OpId> = device.written.iter().copied().collect();
    let missing: Vec<_> = written
        .iter()
        .filter(|id| !decided.contains_key(id))
        .collect();
    assert!(missing.is_empty(), "no verdict of {missing:?}");
    assert_eq!(device.replica.pending(), 0);
    // However often it crashed and was told again.
    let fates = device.replica.status().fates;
    let counted = fates.acked + fates.superseded + fates.rejected;
    assert_eq!(counted, written.len() as u64, "{fates:?}");
}

fn run(selectors: &[Selector], ahead_ms: i64, steps: &[Step]) {
    let mut game = Game::new(selectors, ahead_ms);
    for step in steps {
        game.play(step);
        game.check();
    }
    game.finish();
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_goes_back(steps in prop::collection::vec(step(3), 1..120)) {
        let prefix = Selector::Prefix("own/".to_owned());
        run(&[Selector::All, Selector::All, prefix], 0, &steps);
    }

    #[test]
    fn a_fast_clock_changes_nothing_of_that(steps in prop::collection::vec(step(2), 1..120)) {
        run(&[Selector::All, Selector::All], 600_000, &steps);
    }
}
