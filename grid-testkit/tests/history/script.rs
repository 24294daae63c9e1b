//! Short words for writing histories down.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

use grid_core::{Hlc, OpId, RunId, Stamp};
use grid_testkit::history::{
    Action, Call, Event, FinalState, Guarantee, Happening, History, Outcome, Recorder, Seen,
    Source, Violation,
};

pub(crate) const MAP: &str = "lists";

/// A history that is being written; every event takes a microsecond.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) recorder: Recorder,
    now_ns: Cell<u64>,
}

impl Script {
    /// Goes on where this history ends.
    pub(crate) fn after(history: History) -> Self {
        let last = history.events().last().map_or(0, |event| event.at_ns);
        Self {
            recorder: history.into(),
            now_ns: Cell::new(last),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.now_ns.set(self.now_ns.get() + 1000);
        self.now_ns.get()
    }

    pub(crate) fn call(&self, session: &str, action: Action) -> Call {
        self.recorder.call(self.now(), session, action)
    }

    pub(crate) fn end(&self, call: &Call, outcome: Outcome) {
        self.recorder.returned(self.now(), call, outcome);
    }

    /// A call and its end, with nothing between them.
    pub(crate) fn done(&self, session: &str, action: Action, outcome: Outcome) -> Call {
        let call = self.call(session, action);
        self.end(&call, outcome);
        call
    }

    /// A write that is durable as op `op`.
    pub(crate) fn durable(&self, session: &str, action: Action, op: OpId) -> Call {
        let call = self.call(session, action);
        self.recorder.durable(self.now(), &call, op);
        call
    }

    pub(crate) fn read(&self, session: &str, from: Source, key: &str, seen: Seen) -> Call {
        self.done(session, Action::get(from, MAP, key), Outcome::Read(seen))
    }

    pub(crate) fn state(&self, party: &str, entries: &[(&str, Seen)]) {
        self.ends(party, entries, false);
    }

    pub(crate) fn settled(&self, party: &str, entries: &[(&str, Seen)]) {
        self.ends(party, entries, true);
    }

    fn ends(&self, party: &str, entries: &[(&str, Seen)], settled: bool) {
        let entries = entries.iter();
        let entries: BTreeMap<String, Seen> = entries
            .map(|(key, seen)| ((*key).to_owned(), seen.clone()))
            .collect();
        let state = FinalState {
            map: MAP.to_owned(),
            entries,
            settled,
        };
        self.recorder.state(self.now(), party, state);
    }

    pub(crate) fn history(&self) -> History {
        self.recorder.history()
    }
}

pub(crate) fn put(key: &str, value: u64) -> Action {
    Action::put(MAP, key, value)
}

pub(crate) fn remove(key: &str) -> Action {
    Action::remove(MAP, key)
}

pub(crate) fn op(run: u64, number: u64) -> OpId {
    OpId {
        run: RunId(run),
        number,
    }
}

/// The version of op `number` of run 1, written in millisecond `number`.
pub(crate) fn version(number: u64) -> Stamp {
    Stamp {
        hlc: Hlc::new(number, 0),
        op: op(1, number),
    }
}

pub(crate) fn acked(number: u64) -> Outcome {
    Outcome::acked_at(version(number))
}

/// Asserts that a check failed for this reason, and returns how.
#[track_caller]
pub(crate) fn broken<T: std::fmt::Debug>(
    result: Result<T, Violation>,
    guarantee: Guarantee,
) -> Violation {
    let Err(violation) = result else {
        panic!("a bad history passes: {result:?}");
    };
    assert_eq!(violation.guarantee, guarantee, "{violation}");
    assert_eq!(
        violation.finding,
        grid_testkit::history::Finding::Broken,
        "{violation}"
    );
    violation
}

/// How many calls the witness shows.
pub(crate) fn calls_of(violation: &Violation) -> usize {
    let calls = |event: &&Event| matches!(event.happening, Happening::Call { .. });
    violation.witness.iter().filter(calls).count()
}

/// The seeds of a randomised test, or the one that `GRID_HISTORY_SEED` names.
pub(crate) fn seeds(range: Range<u64>) -> Vec<u64> {
    match std::env::var("GRID_HISTORY_SEED") {
        Ok(seed) => vec![seed.parse().unwrap_or(0)],
        Err(_) => range.collect(),
    }
}

/// The line that runs one seed again.
pub(crate) fn replay(seed: u64) -> String {
    format!("replay with: GRID_HISTORY_SEED={seed} cargo test -p grid-testkit --test history")
}
