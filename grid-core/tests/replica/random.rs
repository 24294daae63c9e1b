//! Any interleaving of edits, messages, losses, crashes and refusals: nothing goes back before
//! the user's eyes, and in the end everybody has what the server has.

use std::collections::BTreeMap;

use grid_core::protocol::Verdict;
use grid_core::{Key, Namespace};
use proptest::prelude::*;

use crate::world::{World, key};

const DEVICES: usize = 2;
const KEYS: u64 = 6;

#[derive(Debug, Clone)]
enum Step {
    Put(usize, u64),
    Remove(usize, u64),
    FailSave(usize),
    Save(usize),
    ServerPut(u64),
    ServerRemove(u64),
    Send(usize),
    Events(usize, usize),
    Acks(usize, usize),
    Connect(usize),
    Disconnect(usize),
    Crash(usize),
    Forbid(u64),
    Permit(u64),
    Defer(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..DEVICES;
    let key = 0..KEYS;
    prop_oneof![
        8 => (device.clone(), key.clone()).prop_map(|(id, key)| Step::Put(id, key)),
        3 => (device.clone(), key.clone()).prop_map(|(id, key)| Step::Remove(id, key)),
        1 => device.clone().prop_map(Step::FailSave),
        6 => device.clone().prop_map(Step::Save),
        3 => key.clone().prop_map(Step::ServerPut),
        1 => key.clone().prop_map(Step::ServerRemove),
        10 => device.clone().prop_map(Step::Send),
        8 => (device.clone(), 1usize..5).prop_map(|(id, count)| Step::Events(id, count)),
        8 => (device.clone(), 1usize..5).prop_map(|(id, count)| Step::Acks(id, count)),
        3 => device.clone().prop_map(Step::Connect),
        1 => device.clone().prop_map(Step::Disconnect),
        1 => device.prop_map(Step::Crash),
        1 => key.clone().prop_map(Step::Forbid),
        2 => key.prop_map(Step::Permit),
        1 => (1usize..3).prop_map(Step::Defer),
        3 => (1u64..50).prop_map(Step::Wait),
    ]
}

/// What a run of steps has to be checked against.
#[derive(Default)]
struct Check {
    next_value: u64,
    /// Who wrote a value, and by which op.
    fates: BTreeMap<u64, Fate>,
    /// What each device saw last of each key.
    last_seen: BTreeMap<(usize, Key), u64>,
    /// All that it saw.
    history: BTreeMap<(usize, Key), Vec<u64>>,
}

struct Fate {
    device: usize,
    op: grid_core::OpId,
}

impl Check {
    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    fn apply(&mut self, world: &mut World, step: &Step) {
        match *step {
            Step::Put(id, number) => {
                let value = self.value();
                let op = world.put(id, &key(number), value);
                self.fates.insert(value, Fate { device: id, op });
            }
            Step::Remove(id, number) => {
                world.remove(id, &key(number));
                self.last_seen.remove(&(id, key(number)));
            }
            Step::FailSave(id) => {
                let value = self.value();
                let write = crate::device::put(&world.map, &key(0), value);
                let now_ms = world.now_ms();
                world.devices[id].fail(vec![write], now_ms);
            }
            Step::Save(id) => {
                let now_ms = world.now_ms();
                world.devices[id].save(now_ms);
            }
            Step::ServerPut(number) => {
                let value = self.value();
                world.server_put(&key(number), value);
            }
            Step::ServerRemove(number) => world.server_remove(&key(number)),
            Step::Send(id) => {
                world.send(id);
            }
            Step::Events(id, count) => deliver(world, id, count, false),
            Step::Acks(id, count) => deliver(world, id, count, true),
            Step::Connect(id) => world.connect(id),
            Step::Disconnect(id) => world.disconnect(id),
            Step::Crash(id) => {
                let pending = world.devices[id]
                    .store
                    .load(Namespace::default(), grid_core::RunId(1))
                    .unwrap()
                    .pending();
                world.crash(id);
                assert_eq!(world.devices[id].replica.pending(), pending);
                // What others wrote and was not saved here comes again.
                self.last_seen.retain(|(device, _), _| *device != id);
                self.history.retain(|(device, _), _| *device != id);
            }
            Step::Forbid(number) => {
                world.server.forbidden.insert(key(number));
            }
            Step::Permit(number) => {
                world.server.forbidden.remove(&key(number));
            }
            Step::Defer(pushes) => world.server.deferrals = pushes,
            Step::Wait(ms) => world.server.now_ms += ms,
        }
    }

    /// A value that a device saw gives way only to one that was written after it by the device
    /// itself or confirmed after it, unless it was refused: never to the value before it.
    fn no_flicker(&mut self, world: &World) {
        for id in 0..DEVICES {
            let seen = world.seen(id);
            for number in 0..KEYS {
                let place = (id, key(number));
                let Some(value) = seen.get(&key(number)).copied() else {
                    self.last_seen.remove(&place);
                    continue;
                };
                let before = self.last_seen.insert(place.clone(), value);
                if before == Some(value) {
                    continue;
                }
                let came_back = self
                    .history
                    .get(&place)
                    .is_some_and(|known| known.contains(&value));
                let excused = before.is_none_or(|before| self.was_refused(world, before));
                assert!(
                    !came_back || excused,
                    "device {id} saw {value} of {} again, after {before:?}",
                    key(number)
                );
                self.history.entry(place).or_default().push(value);
            }
        }
    }

    fn was_refused(&self, world: &World, value: u64) -> bool {
        self.fates.get(&value).is_some_and(|fate| {
            let verdict = world.devices[fate.device].verdicts.get(&fate.op);
            matches!(
                verdict,
                Some(Verdict::Rejected { .. } | Verdict::Superseded(_))
            )
        })
    }
}

fn deliver(world: &mut World, id: usize, count: usize, acks: bool) {
    for _ in 0..count {
        if !world.deliver(id, acks).unwrap() {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 2_000 }))]

    #[test]
    fn any_interleaving_converges_and_nothing_goes_back(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new(DEVICES);
        world.server.push_window = 5;
        let mut check = Check::default();
        for step in &steps {
            check.apply(&mut world, step);
            check.no_flicker(&world);
        }
        world.server.forbidden.clear();
        world.server.deferrals = 0;
        for id in 0..DEVICES {
            if !world.is_connected(id) {
                world.connect(id);
            }
        }
        world.run();
        world.assert_level();
        prop_assert_eq!(world.repairs, 0, "nothing was damaged");
        for device in &world.devices {
            for (op, verdict) in &device.verdicts {
                prop_assert!(!matches!(verdict, Verdict::Restamped(_)), "{} {:?}", op, verdict);
            }
        }
    }
}
