//! Random runs of a small model of the grid: devices with outboxes and copies that are behind, a
//! server where the last writer wins. They pass every checker.

use std::collections::BTreeMap;

use grid_core::{Hlc, OpId, Stamp};
use grid_testkit::history::{
    Applied, Call, History, Outcome, Seen, Source, check_convergence, check_linearizable,
    check_outcomes, check_sessions,
};

use super::script::{MAP, Script, op, put, remove, replay, seeds};

const DEVICES: u64 = 3;
const KEYS: usize = 3;
const STEPS: usize = 250;

/// A change that took effect: the server's entry at a sequence.
#[derive(Debug, Clone)]
struct Change {
    key: usize,
    value: Option<u64>,
    version: Stamp,
}

impl Change {
    fn seen(&self) -> Seen {
        let seen = self.value.map_or_else(Seen::absent, Seen::value);
        seen.at(self.version)
    }
}

/// What the server said of an op, and up to where a device must have caught up to forget it.
#[derive(Debug, Clone)]
struct Verdict {
    outcome: Outcome,
    sequence: usize,
}

#[derive(Default)]
struct Server {
    entries: BTreeMap<usize, Change>,
    journal: Vec<Change>,
    verdicts: BTreeMap<OpId, Verdict>,
}

#[derive(Debug, Clone)]
struct Pending {
    /// None after a restart: nobody waits for the verdict.
    call: Option<Call>,
    id: OpId,
    change: Change,
    refused: bool,
    /// Once the device has been told.
    told: Option<usize>,
}

struct Device {
    name: String,
    run: u64,
    ops: u64,
    last: u64,
    copy: BTreeMap<usize, Change>,
    cursor: usize,
    outbox: Vec<Pending>,
}

struct Simulation {
    chance: fastrand::Rng,
    script: Script,
    server: Server,
    written: u64,
}

fn name(key: usize) -> String {
    format!("k{key}")
}

impl Simulation {
    fn write(&mut self, device: &mut Device) {
        let key = self.chance.usize(..KEYS);
        self.written += 1;
        let removes = self.chance.u32(..5) == 0;
        let action = if removes {
            remove(&name(key))
        } else {
            put(&name(key), self.written)
        };
        let call = self.script.call(&device.name, action);
        if self.chance.u32(..15) == 0 {
            // The power went before it was durable.
            return;
        }
        device.ops += 1;
        let id = op(device.run, device.ops);
        let seen = device
            .copy
            .values()
            .map(|change| change.version.hlc.millis());
        device.last = seen
            .chain([device.last, self.script.now() / 1000])
            .max()
            .unwrap_or(0)
            + 1;
        let version = Stamp {
            hlc: Hlc::new(device.last, 0),
            op: id,
        };
        self.script.recorder.durable(self.script.now(), &call, id);
        device.outbox.push(Pending {
            call: Some(call),
            id,
            change: Change {
                key,
                value: (!removes).then_some(self.written),
                version,
            },
            refused: self.chance.u32(..8) == 0,
            told: None,
        });
    }

    fn read(&mut self, device: &Device) {
        let key = self.chance.usize(..KEYS);
        let pending = device.outbox.iter().rev();
        let pending = pending.map(|pending| &pending.change);
        let seen = match pending.into_iter().find(|change| change.key == key) {
            Some(own) => own.value.map_or_else(Seen::absent, Seen::value),
            None => {
                let change = device.copy.get(&key);
                change.map_or_else(|| Seen::absent().at(Stamp::ZERO), Change::seen)
            }
        };
        self.script
            .read(&device.name, Source::Local, &name(key), seen);
    }

    fn audit(&mut self) {
        let key = self.chance.usize(..KEYS);
        let change = self.server.entries.get(&key);
        let seen = change.map_or_else(|| Seen::absent().at(Stamp::ZERO), Change::seen);
        self.script
            .read("auditor", Source::Server, &name(key), seen);
    }

    /// Sends the first op that has no verdict; the answer may be lost on the way.
    fn push(&mut self, device: &mut Device, reliable: bool) {
        let waiting = device
            .outbox
            .iter()
            .position(|pending| pending.told.is_none());
        let Some(index) = waiting else { return };
        let pending = device.outbox[index].clone();
        let known = self.server.verdicts.get(&pending.id).cloned();
        let verdict = known.unwrap_or_else(|| self.decide(&pending));
        if !reliable && self.chance.u32(..4) == 0 {
            return;
        }
        let refused = matches!(verdict.outcome, Outcome::Rejected { .. });
        match &pending.call {
            Some(call) => self.script.end(call, verdict.outcome),
            None if refused => {
                let now = self.script.now();
                let recorder = &self.script.recorder;
                recorder.learned(now, &device.name, pending.id, verdict.outcome);
            }
            None => {}
        }
        if refused {
            device.outbox.remove(index);
        } else {
            device.outbox[index].told = Some(verdict.sequence);
        }
        Self::forget(device);
    }

    fn decide(&mut self, pending: &Pending) -> Verdict {
        let change = &pending.change;
        let current = self.server.entries.get(&change.key);
        let outcome = match current {
            _ if pending.refused => Outcome::rejected("forbidden"),
            Some(current) if current.version > change.version => Outcome::Superseded {
                by: self.chance.bool().then_some(current.version),
            },
            _ => {
                self.server.entries.insert(change.key, change.clone());
                self.server.journal.push(change.clone());
                self.apply(pending.id, change);
                if self.chance.bool() {
                    Outcome::acked_at(change.version)
                } else {
                    Outcome::acked()
                }
            }
        };
        let sequence = self.server.journal.len();
        let verdict = Verdict { outcome, sequence };
        self.server.verdicts.insert(pending.id, verdict.clone());
        verdict
    }

    fn apply(&mut self, id: OpId, change: &Change) {
        if self.chance.bool() {
            return;
        }
        let sequence = u64::try_from(self.server.journal.len()).unwrap_or(u64::MAX);
        let applied = Applied {
            id,
            history: 0,
            partition: 0,
            sequence,
            map: MAP.to_owned(),
            key: name(change.key),
            seen: change.seen(),
        };
        let now = self.script.now();
        self.script.recorder.applied(now, "journal", applied);
    }

    fn catch_up(&mut self, device: &mut Device, all: bool) {
        let behind = self.server.journal.len() - device.cursor;
        let steps = if all {
            behind
        } else {
            self.chance.usize(..=behind)
        };
        for _ in 0..steps {
            let change = self.server.journal[device.cursor].clone();
            device.cursor += 1;
            device.copy.insert(change.key, change);
        }
        Self::forget(device);
    }

    /// An op leaves the overlay when the copy has come to where it was decided.
    fn forget(device: &mut Device) {
        let cursor = device.cursor;
        let stays = |pending: &Pending| pending.told.is_none_or(|told| told > cursor);
        device.outbox.retain(stays);
    }

    fn step(&mut self, device: &mut Device) {
        match self.chance.u32(..20) {
            0..5 => self.write(device),
            5..12 => self.read(device),
            12..14 => self.audit(),
            14..17 => self.push(device, false),
            17..19 => self.catch_up(device, false),
            // A restart: the outbox is kept, and nobody waits for verdicts any more.
            _ => device
                .outbox
                .iter_mut()
                .for_each(|pending| pending.call = None),
        }
    }

    fn settle(&mut self, devices: &mut [Device]) {
        for device in &mut *devices {
            while device.outbox.iter().any(|pending| pending.told.is_none()) {
                self.push(device, true);
            }
        }
        let entries = |held: &BTreeMap<usize, Change>| -> Vec<(String, Seen)> {
            let held = held.values().filter(|change| change.value.is_some());
            held.map(|change| (name(change.key), change.seen()))
                .collect()
        };
        let mut states = vec![("server".to_owned(), entries(&self.server.entries))];
        for device in devices {
            self.catch_up(device, true);
            assert!(device.outbox.is_empty(), "the model itself is wrong");
            states.push((device.name.clone(), entries(&device.copy)));
        }
        for (party, entries) in &states {
            let entries = entries.iter();
            let entries: Vec<_> = entries
                .map(|(key, seen)| (key.as_str(), seen.clone()))
                .collect();
            self.script.settled(party, &entries);
        }
    }
}

pub(crate) fn history(seed: u64) -> History {
    let mut simulation = Simulation {
        chance: fastrand::Rng::with_seed(seed),
        script: Script::default(),
        server: Server::default(),
        written: 0,
    };
    let mut devices: Vec<Device> = (0..DEVICES)
        .map(|device| Device {
            name: format!("device {device}"),
            run: device + 1,
            ops: 0,
            last: 0,
            copy: BTreeMap::new(),
            cursor: 0,
            outbox: Vec::new(),
        })
        .collect();
    for _ in 0..STEPS {
        let device = simulation.chance.usize(..devices.len());
        simulation.step(&mut devices[device]);
    }
    simulation.settle(&mut devices);
    simulation.script.history()
}

#[test]
fn what_the_model_does_passes_every_checker() {
    let mut totals = [0; 8];
    let seeds = seeds(0..400);
    for seed in &seeds {
        let history = history(*seed);
        let counts = check_linearizable(&history).and_then(|linearizable| {
            let sessions = check_sessions(&history)?;
            let convergence = check_convergence(&history)?;
            let fates = check_outcomes(&history)?;
            Ok([
                linearizable.decided,
                sessions.decided,
                convergence.decided,
                fates.acked,
                fates.superseded,
                fates.rejected,
                fates.pending.len(),
                fates.unknown.len(),
            ])
        });
        match counts {
            Ok(counts) => {
                let sums = totals.iter_mut().zip(counts);
                sums.for_each(|(total, count)| *total += count);
            }
            Err(violation) => panic!("{violation}\n{}", replay(*seed)),
        }
    }
    // The runs have everything in them that the checkers look at.
    assert!(
        totals.iter().all(|total| *total >= seeds.len()),
        "{totals:?}"
    );
}

#[test]
fn the_model_survives_the_way_through_a_file() {
    let history = history(1);
    let lines = history.to_json_lines();
    assert_eq!(
        History::from_json_lines(&lines).map_err(|error| error.line),
        Ok(history)
    );
}
