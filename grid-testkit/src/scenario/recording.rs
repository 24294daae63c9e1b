//! The history of a run as its users and an auditor at the servers see it, for the checkers of
//! [`crate::history`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use grid_core::protocol::{Delta, Message};
use grid_core::{OpId, Stamp};

use super::event::{Event, Told};
use super::ledger::{FinalState, Ledger, Left};
use super::world::World;
use crate::history::{
    self, Action, Call, FinalState as Ending, History, Outcome, Recorder, Seen, Source, Value,
    Violation, check_convergence, check_linearizable, check_outcomes, check_sessions,
};
use crate::sim::FrameFate;

/// How many of a hundred frames that arrive make a user look at an entry.
const LOOKS_PERCENT: u8 = 15;
/// How many of a hundred such looks are at the whole map.
const SCANS_PERCENT: u8 = 10;

/// What the run allows to be promised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promises {
    /// Removals were forgotten: an entry that was removed may begin anew from an older write.
    pub(super) forgets: bool,
    /// A merge rule makes values that nobody wrote.
    pub(super) merges: bool,
}

/// The history of a run.
#[derive(Debug)]
pub(super) struct Recording {
    recorder: Recorder,
    /// When users look, and at what. Nothing of the run draws from it.
    chance: fastrand::Rng,
    /// The calls of writes and audits, by their numbers.
    writes: BTreeMap<usize, Call>,
    audits: BTreeMap<usize, Call>,
    /// What devices were told of ops, as it was taken down.
    told: BTreeMap<OpId, Outcome>,
    /// What versions hold, by what servers sent.
    versions: BTreeMap<Stamp, Option<Bytes>>,
    /// What was told to be refused since its device came up; and before.
    refused: BTreeSet<Left>,
    /// A device that lost its power may not have stored yet what it had told: until it is told
    /// again, it shows the write.
    may_return: BTreeSet<Left>,
    /// How often each device lost its power, and how often it had before each look.
    lives: BTreeMap<usize, usize>,
    looks: BTreeMap<Call, usize>,
    /// The entries that were written, and those that were removed.
    entries: BTreeSet<(String, String)>,
    removed: BTreeSet<(String, String)>,
}

impl Recording {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            recorder: Recorder::new(),
            chance: fastrand::Rng::with_seed(seed),
            writes: BTreeMap::new(),
            audits: BTreeMap::new(),
            told: BTreeMap::new(),
            versions: BTreeMap::new(),
            refused: BTreeSet::new(),
            may_return: BTreeSet::new(),
            lives: BTreeMap::new(),
            looks: BTreeMap::new(),
            entries: BTreeSet::new(),
            removed: BTreeSet::new(),
        }
    }

    /// Takes down what happened.
    pub(super) fn see(&mut self, at: Duration, event: &Event, world: &World) {
        let at_ns = nanos(at);
        match event {
            Event::Write { .. } => self.write(at_ns, event, world),
            Event::Told {
                number, op, told, ..
            } => self.told(at_ns, *number, *op, told, &world.ledger),
            Event::Audit { number, map, key } => {
                let get = Action::get(Source::Server, map.as_str(), key.as_str());
                let call = self.recorder.call(at_ns, "auditor", get);
                self.audits.insert(*number, call);
            }
            Event::Audited { number, found } => {
                if let Some(call) = self.audits.get(number) {
                    let found = found.as_ref();
                    let seen = found.map_or_else(Seen::absent, |(value, stamp)| {
                        seen(value.as_ref()).at(*stamp)
                    });
                    self.recorder.returned(at_ns, call, Outcome::Read(seen));
                }
            }
            Event::Frame {
                fate: FrameFate::Sent,
                message: Some(message),
                ..
            } => {
                if let Message::Delta(delta) = &**message {
                    self.shown(delta);
                }
            }
            Event::Down(party) => {
                let device = world.device_of(*party);
                let of = |left: &Left| Some(left.0) == device;
                let gone: Vec<Left> = self.refused.iter().filter(|one| of(one)).cloned().collect();
                self.may_return.extend(gone);
                if let Some(device) = device {
                    *self.lives.entry(device).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, at_ns: u64, event: &Event, world: &World) {
        let Event::Write {
            device,
            number,
            map,
            key,
            value,
            if_version,
        } = event
        else {
            return;
        };
        let entry = (map.to_string(), key.to_string());
        let action = match value {
            Some(value) => Action::Put {
                map: entry.0.clone(),
                key: entry.1.clone(),
                value: Value::of_bytes(value),
                if_version: *if_version,
            },
            None => {
                self.removed.insert(entry.clone());
                Action::remove(entry.0.as_str(), entry.1.as_str())
            }
        };
        self.entries.insert(entry);
        let right = !world.clock_was_off(*device);
        let clock_ms = right.then(|| world.device_ms(*device));
        let session = session(*device);
        let call = self.recorder.call_at(at_ns, session, action, clock_ms);
        self.writes.insert(*number, call);
    }

    fn told(&mut self, at_ns: u64, number: usize, op: Option<OpId>, told: &Told, ledger: &Ledger) {
        let Some(call) = self.writes.get(&number) else {
            return;
        };
        let Some(op) = op else { return };
        let by_word = match told {
            Told::Durable => {
                self.recorder.durable(at_ns, call, op);
                return;
            }
            Told::Acked => Outcome::acked(),
            Told::Superseded => Outcome::Superseded { by: None },
            Told::Rejected(reason) => {
                self.refused.extend(ledger.left(number));
                Outcome::rejected(reason)
            }
            // Nobody has been promised anything.
            _ => return,
        };
        // What the server said in full, if the app was told the same. If not, the server's word
        // stands beside it in the end, and contradicts it.
        let full = ledger.said(op).filter(|full| same_kind(full, &by_word));
        let outcome = full.unwrap_or(by_word);
        self.told.insert(op, outcome.clone());
        self.recorder.returned(at_ns, call, outcome);
    }

    fn shown(&mut self, delta: &Delta) {
        for record in &delta.records {
            self.versions.insert(record.stamp, record.value.clone());
        }
    }

    /// Lets users look at what their devices show, now and then: a look takes no time and changes
    /// nothing.
    pub(super) fn look(&mut self, at: Duration, event: &Event, world: &World) {
        let Event::Frame {
            fate: FrameFate::Delivered,
            to,
            ..
        } = event
        else {
            return;
        };
        if self.chance.u8(..100) >= LOOKS_PERCENT {
            return;
        }
        let Some(device) = world.device_of(*to) else {
            return;
        };
        let Some((map, key)) = self.some_entry() else {
            return;
        };
        let whole = self.chance.u8(..100) < SCANS_PERCENT;
        let ledger = &world.ledger;
        let looked = world.with_map(device, &map, |opened| {
            if !opened.is_loaded() {
                return None;
            }
            let version = |key: &str| opened.version(key).unwrap_or(Stamp::ZERO);
            let left = |key: &str, value: Option<&Bytes>| {
                (device, map.clone(), key.to_owned(), value.cloned())
            };
            Some(if whole && self.may_return.is_empty() {
                let entries = opened.entries().into_iter();
                let entries = entries.map(|(key, value)| {
                    let version = version(key.as_str());
                    let shown = left(key.as_str(), Some(&value));
                    (key.to_string(), self.displayed(&shown, version, ledger))
                });
                let action = Action::scan(Source::Local, map.as_str());
                (action, Outcome::Scanned(entries.collect()))
            } else {
                let shown = left(&key, opened.get_bytes(&key).ok()?.as_ref());
                if self.may_return.contains(&shown) {
                    return None;
                }
                let seen = self.displayed(&shown, version(&key), ledger);
                let action = Action::get(Source::Local, map.as_str(), key.as_str());
                (action, Outcome::Read(seen))
            })
        });
        if let Some((action, outcome)) = looked.flatten() {
            let call = self.recorder.call(nanos(at), session(device), action);
            self.recorder.returned(nanos(at), &call, outcome);
            let life = self.lives.get(&device).copied().unwrap_or_default();
            self.looks.insert(call, life);
        }
    }

    /// What a device displays. Its version is that of the confirmed value; what lies over that has
    /// none yet, though it may be the same value.
    fn displayed(&self, shown: &Left, version: Stamp, ledger: &Ledger) -> Seen {
        let value = shown.3.as_ref();
        let confirmed = self.versions.get(&version).map(Option::as_ref) == Some(value);
        // A write of the device may have left just this, and be later.
        let later = |stamp: &Option<Stamp>| stamp.is_none_or(|stamp| stamp > version);
        if value.is_some() && confirmed && !ledger.versions_of(shown).iter().any(later) {
            return seen(value).at(version);
        }
        seen(value)
    }

    /// The history with the looks of one life of each device. A device shows what servers tell it
    /// before its store has that: a power cut takes it back. What it wrote is there in all lives.
    fn of_life(&self, history: &History, life: usize) -> History {
        use history::Happening;

        let belongs = |event: &&history::Event| {
            let (Happening::Call { number, .. } | Happening::Return { number, .. }) =
                &event.happening
            else {
                return true;
            };
            let (session, number) = (event.session.clone(), *number);
            let look = self.looks.get(&Call { session, number });
            look.is_none_or(|of| *of == life)
        };
        let events = history.events().iter();
        events.filter(belongs).cloned().collect()
    }

    /// An entry that was written, for the auditor to ask for.
    pub(super) fn some_entry(&mut self) -> Option<(String, String)> {
        let index = self.chance.usize(..self.entries.len().max(1));
        self.entries.iter().nth(index).cloned()
    }

    /// What a party holds in the end.
    pub(super) fn ends(&self, at: Duration, party: &str, maps: &[String], state: &FinalState) {
        for map in maps {
            let entries = state.iter().filter(|((of, _), _)| of == map);
            let entries = entries.map(|((_, key), found)| {
                let seen = seen(Some(&found.value)).at(found.stamp);
                (key.clone(), seen)
            });
            let ending = Ending {
                map: map.clone(),
                entries: entries.collect(),
                settled: true,
            };
            self.recorder.state(nanos(at), party, ending);
        }
    }

    /// Checks what must follow from the history, as far as the run allows it to be promised.
    ///
    /// # Errors
    /// The first promise that was not kept, with the calls that show it.
    pub(super) fn check(
        &self,
        at: Duration,
        promises: Promises,
        ledger: &Ledger,
    ) -> Result<(), String> {
        for (op, (device, outcome)) in ledger.said_of_all() {
            // Its device lost its power before it was told, or was told something else; what the
            // server said stands.
            if self.told.get(&op) != Some(&outcome) {
                let session = session(device);
                self.recorder.learned(nanos(at), &session, op, outcome);
            }
        }
        let history = self.recorder.history();
        if history.events().is_empty() {
            return Ok(());
        }
        let told = |violation: Violation| format!("history: {violation}");
        check_convergence(&history).map_err(told)?;
        if promises.merges {
            return Ok(());
        }
        let mut unpromised = ledger.unpromised();
        if promises.forgets {
            unpromised.extend(self.removed.iter().cloned());
        }
        let history = if unpromised.is_empty() {
            history
        } else {
            without(&history, &unpromised)
        };
        check_outcomes(&history).map_err(told)?;
        let last = self.lives.values().copied().max().unwrap_or_default();
        for life in 0..=last {
            check_sessions(&self.of_life(&history, life)).map_err(told)?;
        }
        check_linearizable(&history).map_err(told)?;
        Ok(())
    }
}

/// The history without what happened to some entries.
fn without(history: &History, entries: &BTreeSet<(String, String)>) -> History {
    use history::Happening;

    let mut dropped: BTreeSet<(String, u64)> = BTreeSet::new();
    let mut ops: BTreeSet<OpId> = BTreeSet::new();
    let mut scans: BTreeMap<(String, u64), String> = BTreeMap::new();
    let kept = history.events().iter().filter_map(|event| {
        let mut event = event.clone();
        match &mut event.happening {
            Happening::Call { number, action, .. } => {
                let name = (event.session.clone(), *number);
                let map = action.map().to_owned();
                match action.key() {
                    None => {
                        scans.insert(name, map);
                    }
                    Some(key) if entries.contains(&(map, key.to_owned())) => {
                        dropped.insert(name);
                        return None;
                    }
                    Some(_) => {}
                }
            }
            Happening::Return { number, id, .. }
                if dropped.contains(&(event.session.clone(), *number)) =>
            {
                ops.extend(*id);
                return None;
            }
            Happening::Return {
                number,
                outcome: Outcome::Scanned(seen),
                ..
            } => {
                if let Some(map) = scans.get(&(event.session.clone(), *number)) {
                    seen.retain(|key, _| !entries.contains(&(map.clone(), key.clone())));
                }
            }
            Happening::Learned { id, .. } if ops.contains(id) => return None,
            Happening::State(state) => {
                let map = state.map.clone();
                state
                    .entries
                    .retain(|key, _| !entries.contains(&(map.clone(), key.clone())));
            }
            _ => {}
        }
        Some(event)
    });
    kept.collect()
}

fn same_kind(one: &Outcome, other: &Outcome) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn session(device: usize) -> String {
    format!("device {device}")
}

fn seen(value: Option<&Bytes>) -> Seen {
    value.map_or_else(Seen::absent, |value| Seen::value(Value::of_bytes(value)))
}

fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}
