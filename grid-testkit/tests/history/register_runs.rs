//! Random runs of a real register: they pass, and with one planted violation they do not.

use grid_core::Stamp;
use grid_core::protocol::RejectReason;
use grid_testkit::history::{
    Action, Call, Event, Guarantee, Happening, History, Outcome, Seen, Source, Value,
    check_linearizable, check_linearizable_within,
};

use super::script::{MAP, Script, broken, op, put, remove, replay, seeds, version};

/// What one run is like.
struct Run {
    operations: usize,
    keys: usize,
    sessions: usize,
    /// Percent of the writes whose session dies before they return.
    lost: u64,
    /// Whether acks and reads tell versions.
    versions: bool,
}

#[derive(Clone)]
struct Entry {
    value: Option<u64>,
    version: Stamp,
}

struct Open {
    call: Call,
    action: Action,
    key: usize,
    /// What it came to, once it took effect.
    outcome: Option<Outcome>,
}

/// One register for each key, and sessions that use them at once. A call, its effect and its
/// return are three moments, between which others have theirs.
struct Simulation<'r> {
    run: &'r Run,
    chance: fastrand::Rng,
    script: Script,
    entries: Vec<Entry>,
    /// Numbers of writes: their values, versions and op numbers.
    written: u64,
    names: usize,
}

impl Simulation<'_> {
    fn history(seed: u64, run: &Run) -> History {
        let empty = Entry {
            value: None,
            version: Stamp::ZERO,
        };
        let mut simulation = Simulation {
            run,
            chance: fastrand::Rng::with_seed(seed),
            script: Script::default(),
            entries: vec![empty; run.keys],
            written: 0,
            names: run.sessions,
        };
        let mut sessions: Vec<(String, Option<Open>)> = (0..run.sessions)
            .map(|name| (format!("s{name}"), None))
            .collect();
        let mut called = 0;
        while called < run.operations || sessions.iter().any(|(_, open)| open.is_some()) {
            let session = simulation.chance.usize(..sessions.len());
            let (name, open) = &mut sessions[session];
            match open.take() {
                None if called < run.operations => {
                    called += 1;
                    *open = Some(simulation.call(name));
                }
                None => {}
                Some(begun) => simulation.step(name, open, begun),
            }
        }
        simulation.script.history()
    }

    fn call(&mut self, session: &str) -> Open {
        let key = self.chance.usize(..self.run.keys);
        let name = format!("k{key}");
        let current = &self.entries[key];
        let live = if current.value.is_some() {
            current.version
        } else {
            Stamp::ZERO
        };
        self.written += 1;
        let action = match self.chance.u32(..10) {
            0..4 => Action::get(Source::Server, MAP, name),
            4 => remove(&name),
            // The version is the one of now, or becomes wrong until the write takes effect.
            5 if self.run.versions => put(&name, self.written).if_version(live),
            _ => put(&name, self.written),
        };
        Open {
            call: self.script.call(session, action.clone()),
            action,
            key,
            outcome: None,
        }
    }

    fn step(&mut self, name: &mut String, open: &mut Option<Open>, mut begun: Open) {
        let dies = begun.action.is_write() && self.chance.u64(..100) < self.run.lost;
        if let Some(outcome) = begun.outcome {
            if !dies {
                self.script.end(&begun.call, outcome);
                return;
            }
        } else if !dies || self.chance.bool() {
            begun.outcome = Some(self.take_effect(&begun));
            *open = Some(begun);
            return;
        }
        // The session is gone; another one goes on in its place.
        *name = format!("s{}", self.names);
        self.names += 1;
    }

    fn take_effect(&mut self, begun: &Open) -> Outcome {
        let entry = &mut self.entries[begun.key];
        let (value, if_version) = match &begun.action {
            Action::Put {
                value, if_version, ..
            } => (Some(value.to_string().parse().unwrap_or(0)), *if_version),
            Action::Remove { if_version, .. } => (None, *if_version),
            _ => {
                let seen = entry.value.map_or_else(Seen::absent, Seen::value);
                return Outcome::Read(if self.run.versions {
                    seen.at(entry.version)
                } else {
                    seen
                });
            }
        };
        let live = if entry.value.is_some() {
            entry.version
        } else {
            Stamp::ZERO
        };
        if if_version.is_some_and(|wanted| wanted != live) {
            return Outcome::rejected(RejectReason::VersionMismatch);
        }
        self.written += 1;
        entry.value = value;
        entry.version = version(self.written);
        if self.run.versions {
            Outcome::acked_at(entry.version)
        } else {
            Outcome::acked()
        }
    }
}

const SMALL: Run = Run {
    operations: 60,
    keys: 2,
    sessions: 5,
    lost: 8,
    versions: true,
};

#[test]
fn what_a_register_does_is_linearizable() {
    for seed in seeds(0..400) {
        for versions in [true, false] {
            let run = Run { versions, ..SMALL };
            let history = Simulation::history(seed, &run);
            if let Err(violation) = check_linearizable(&history) {
                panic!("{violation}\n{}", replay(seed));
            }
        }
    }
}

#[test]
fn a_long_run_takes_about_one_configuration_for_each_operation() {
    for (lost, versions) in [(0, false), (0, true), (2, false), (2, true)] {
        let run = Run {
            operations: 10_000,
            keys: 100,
            sessions: 8,
            lost,
            versions,
        };
        let history = Simulation::history(7, &run);
        // About 100 operations a key: the bound is for one key.
        let checked = check_linearizable_within(&history, 200).unwrap();
        assert!(checked.decided > 9_000, "{checked:?}");
        let hot = Run { keys: 1, ..run };
        check_linearizable_within(&Simulation::history(8, &hot), 12_000).unwrap();
    }
}

/// The history with the outcome of one of its reads changed, if there is a place for that.
fn plant(history: &History, chance: &mut fastrand::Rng, stale: bool) -> Option<History> {
    let reads: Vec<usize> = history
        .events()
        .iter()
        .enumerate()
        .filter(|(_, event)| {
            matches!(
                &event.happening,
                Happening::Return {
                    outcome: Outcome::Read(_),
                    ..
                }
            )
        })
        .map(|(index, _)| index)
        .collect();
    if reads.is_empty() {
        return None;
    }
    let first = chance.usize(..reads.len());
    let at = (0..reads.len()).map(|offset| reads[(first + offset) % reads.len()]);
    for index in at {
        let lie = if stale {
            overwritten(history, index).map(Seen::from_value)
        } else {
            Some(Seen::value("nobody's"))
        };
        let Some(lie) = lie else { continue };
        let mut events = history.events().to_vec();
        let Happening::Return { outcome, .. } = &mut events[index].happening else {
            unreachable!("it is a return");
        };
        *outcome = Outcome::Read(lie);
        return Some(events.into_iter().collect());
    }
    None
}

/// A value that the read that returns at `index` cannot have seen: another write of its key was
/// called after that write was acked, and acked before the read was called.
fn overwritten(history: &History, index: usize) -> Option<Value> {
    let returned = &history.events()[index];
    let called = position(history, returned, |happening| {
        matches!(happening, Happening::Call { .. })
    })?;
    let Happening::Call { action, .. } = &history.events()[called].happening else {
        return None;
    };
    let Action::Get { key, .. } = action else {
        return None;
    };
    let mut acked: Vec<(usize, usize, Option<Value>)> = Vec::new();
    for (index, event) in history.events().iter().enumerate().take(called) {
        let Happening::Call { action, .. } = &event.happening else {
            continue;
        };
        let value = match action {
            Action::Put { key: at, value, .. } if at == key => Some(value.clone()),
            Action::Remove { key: at, .. } if at == key => None,
            _ => continue,
        };
        let end = position(history, event, |happening| {
            matches!(
                happening,
                Happening::Return {
                    outcome: Outcome::Acked { .. },
                    ..
                }
            )
        });
        acked.extend(end.map(|end| (index, end, value)));
    }
    acked.iter().find_map(|(_, end, value)| {
        let over = |(later, its_end, _): &(usize, usize, _)| later > end && *its_end < called;
        value.clone().filter(|_| acked.iter().any(over))
    })
}

/// Where something of the same call as `event` happened.
fn position(history: &History, event: &Event, what: impl Fn(&Happening) -> bool) -> Option<usize> {
    let number = |event: &Event| match &event.happening {
        Happening::Call { number, .. } | Happening::Return { number, .. } => Some(*number),
        _ => None,
    };
    history.events().iter().position(|other| {
        other.session == event.session && number(other) == number(event) && what(&other.happening)
    })
}

trait FromValue {
    fn from_value(value: Value) -> Self;
}

impl FromValue for Seen {
    fn from_value(value: Value) -> Self {
        Self {
            value: Some(value),
            version: None,
        }
    }
}

#[test]
fn every_planted_violation_is_found_with_a_small_witness() {
    let mut planted = 0;
    for seed in seeds(0..300) {
        for (versions, stale) in [(true, true), (true, false), (false, true), (false, false)] {
            let run = Run { versions, ..SMALL };
            let history = Simulation::history(seed, &run);
            let mut chance = fastrand::Rng::with_seed(seed);
            let Some(history) = plant(&history, &mut chance, stale) else {
                continue;
            };
            planted += 1;
            let Err(violation) = check_linearizable(&history) else {
                panic!("a planted violation passes\n{}", replay(seed));
            };
            assert_eq!(violation.guarantee, Guarantee::Linearizability);
            // The witness is by itself broken, and not a word could be left out.
            let witness: History = violation.witness.iter().cloned().collect();
            broken(check_linearizable(&witness), Guarantee::Linearizability);
            assert!(
                violation.witness.len() <= 10,
                "{violation}\n{}",
                replay(seed)
            );
        }
    }
    assert!(planted >= 4, "only {planted} violations could be planted");
}

/// Whether a write of this key was called after the event at `index`, and acked.
fn goes_on(history: &History, key: &str, index: usize) -> bool {
    let mut later = history.events().iter().skip(index);
    later.any(|event| {
        let Happening::Call { action, .. } = &event.happening else {
            return false;
        };
        let same = matches!(action, Action::Put { key: at, .. } if at == key);
        let acked = |happening: &Happening| {
            matches!(
                happening,
                Happening::Return {
                    outcome: Outcome::Acked { .. },
                    ..
                }
            )
        };
        same && position(history, event, acked).is_some()
    })
}

#[test]
fn an_ack_for_what_was_not_done_is_found() {
    let mut planted = 0;
    for seed in seeds(0..200) {
        let history = Simulation::history(seed, &SMALL);
        let mismatch = Outcome::rejected(RejectReason::VersionMismatch);
        let refused = history.events().iter().position(|event| {
            matches!(&event.happening, Happening::Return { outcome, .. } if *outcome == mismatch)
        });
        let Some(refused) = refused else { continue };
        let event = &history.events()[refused];
        let is_call = |happening: &Happening| matches!(happening, Happening::Call { .. });
        let call = position(&history, event, is_call).unwrap();
        let Happening::Call {
            action: Action::Put { key, .. },
            ..
        } = &history.events()[call].happening
        else {
            unreachable!("only puts ask for versions");
        };
        // Later writes of the key get earlier versions than the one that the ack tells.
        if !goes_on(&history, key, refused) {
            continue;
        }
        planted += 1;
        let mut ahead = version(1_000_000);
        ahead.op = op(9, 9);
        let mut events = history.events().to_vec();
        if let Happening::Return { outcome, .. } = &mut events[refused].happening {
            *outcome = Outcome::acked_at(ahead);
        }
        let Err(violation) = check_linearizable(&events.into_iter().collect()) else {
            panic!("a false ack passes\n{}", replay(seed));
        };
        assert_eq!(violation.guarantee, Guarantee::Linearizability);
    }
    assert!(planted > 20 || std::env::var("GRID_HISTORY_SEED").is_ok());
}
