//! Writes a history down while it happens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grid_core::OpId;

use super::action::Action;
use super::event::{Applied, Call, Event, FinalState, Happening};
use super::history::History;
use super::outcome::Outcome;

/// What is called with every event as it is recorded.
type Observer = Box<dyn Fn(&Event) + Send + Sync>;

/// Writes a history down while it happens. Clones share it; tasks and threads may use them at
/// once. It has no clock: time is handed in, in nanoseconds, and events keep the order in which
/// they were recorded, so record a call before it is made and a return after it was made.
///
/// ```
/// use grid_core::{OpId, RunId};
/// use grid_testkit::history::{Action, Outcome, Recorder, check_outcomes};
///
/// let recorder = Recorder::new();
/// let call = recorder.call(10, "phone", Action::put("lists", "milk", 1));
/// // … `let handle = map.put("milk", &1).await?` …
/// recorder.durable(20, &call, OpId { run: RunId(1), number: 1 });
/// // … `handle.acked().await?` …
/// recorder.returned(30, &call, Outcome::acked());
///
/// let fates = check_outcomes(&recorder.history())?;
/// assert_eq!(fates.acked, 1);
/// # Ok::<(), grid_testkit::history::Violation>(())
/// ```
#[derive(Clone, Default)]
pub struct Recorder {
    log: Arc<Mutex<Log>>,
    observer: Option<Arc<Observer>>,
}

#[derive(Default)]
struct Log {
    history: History,
    /// By session, the number of its next call.
    next: BTreeMap<String, u64>,
}

impl Recorder {
    /// A recorder with an empty history.
    ///
    /// ```
    /// # use grid_testkit::history::Recorder;
    /// assert!(Recorder::new().history().events().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, and `observer` is called with every event, in order: what a process that may be
    /// killed uses to have each line written before it goes on. The recorder must not be used in
    /// it.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, Recorder};
    /// let recorder = Recorder::new().observed(|event| print!("{}", event.to_json_line()));
    /// recorder.call(10, "phone", Action::remove("m", "k"));
    /// ```
    #[must_use]
    pub fn observed(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(Box::new(observer)));
        self
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, log: &mut Log, at_ns: u64, session: &str, happening: Happening) {
        let event = Event {
            at_ns,
            session: session.to_owned(),
            happening,
        };
        if let Some(observer) = &self.observer {
            observer(&event);
        }
        log.history.push(event);
    }

    /// Records that `session` is about to call an operation. The call is its name from then on.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, Recorder};
    /// let recorder = Recorder::new();
    /// let first = recorder.call(10, "phone", Action::remove("m", "k"));
    /// let second = recorder.call(20, "phone", Action::remove("m", "k"));
    /// assert_ne!(first, second);
    /// ```
    pub fn call(&self, at_ns: u64, session: impl Into<String>, action: Action) -> Call {
        self.call_at(at_ns, session, action, None)
    }

    /// As [`Recorder::call`], on a device whose wall clock is right and shows `clock_ms`
    /// milliseconds since 1970. The checkers then know that the write has no earlier stamp.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, Recorder};
    /// let recorder = Recorder::new();
    /// recorder.call_at(10, "phone", Action::remove("m", "k"), Some(1_700_000_000_000));
    /// ```
    pub fn call_at(
        &self,
        at_ns: u64,
        session: impl Into<String>,
        action: Action,
        clock_ms: Option<u64>,
    ) -> Call {
        let session = session.into();
        let mut log = self.lock();
        let next = log.next.entry(session.clone()).or_default();
        let number = *next;
        *next += 1;
        let happening = Happening::Call {
            number,
            action,
            clock_ms,
        };
        self.push(&mut log, at_ns, &session, happening);
        Call { session, number }
    }

    /// Records that a write is durable on its device, as this op.
    ///
    /// ```
    /// # use grid_core::{OpId, RunId};
    /// # use grid_testkit::history::{Action, Recorder};
    /// # let recorder = Recorder::new();
    /// let call = recorder.call(10, "phone", Action::remove("m", "k"));
    /// recorder.durable(20, &call, OpId { run: RunId(1), number: 1 });
    /// ```
    pub fn durable(&self, at_ns: u64, call: &Call, id: OpId) {
        let happening = Happening::Return {
            number: call.number,
            outcome: Outcome::Durable,
            id: Some(id),
        };
        self.push(&mut self.lock(), at_ns, &call.session, happening);
    }

    /// Records what a call came to.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, Outcome, Recorder, Seen, Source};
    /// # let recorder = Recorder::new();
    /// let call = recorder.call(10, "phone", Action::get(Source::Local, "m", "k"));
    /// recorder.returned(20, &call, Outcome::Read(Seen::absent()));
    /// ```
    pub fn returned(&self, at_ns: u64, call: &Call, outcome: Outcome) {
        let happening = Happening::Return {
            number: call.number,
            outcome,
            id: None,
        };
        self.push(&mut self.lock(), at_ns, &call.session, happening);
    }

    /// Records that `session` learned the fate of a write by its identity, for example from the
    /// rejections that it finds after a restart.
    ///
    /// ```
    /// # use grid_core::{OpId, RunId};
    /// # use grid_testkit::history::{Outcome, Recorder};
    /// # let recorder = Recorder::new();
    /// let op = OpId { run: RunId(1), number: 1 };
    /// recorder.learned(20, "phone", op, Outcome::rejected("forbidden"));
    /// ```
    pub fn learned(&self, at_ns: u64, session: &str, id: OpId, outcome: Outcome) {
        let happening = Happening::Learned { id, outcome };
        self.push(&mut self.lock(), at_ns, session, happening);
    }

    /// Records that `party` saw in a stream of events, or a journal, that an op took effect.
    ///
    /// ```
    /// # use grid_core::{OpId, RunId};
    /// # use grid_testkit::history::{Applied, Recorder, Seen};
    /// # let recorder = Recorder::new();
    /// let id = OpId { run: RunId(1), number: 1 };
    /// let (map, key) = ("m".to_owned(), "k".to_owned());
    /// let (history, partition, sequence) = (0, 17, 4);
    /// let seen = Seen::value(2);
    /// let applied = Applied { id, history, partition, sequence, map, key, seen };
    /// recorder.applied(20, "journal", applied);
    /// ```
    pub fn applied(&self, at_ns: u64, party: &str, applied: Applied) {
        self.push(&mut self.lock(), at_ns, party, Happening::Applied(applied));
    }

    /// Records what `party` holds of a map at the end.
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// # use grid_testkit::history::{FinalState, Recorder};
    /// # let recorder = Recorder::new();
    /// let (map, entries) = ("m".to_owned(), BTreeMap::new());
    /// recorder.state(90, "phone", FinalState { map, entries, settled: true });
    /// ```
    pub fn state(&self, at_ns: u64, party: &str, state: FinalState) {
        self.push(&mut self.lock(), at_ns, party, Happening::State(state));
    }

    /// What has been recorded so far.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, Recorder};
    /// let recorder = Recorder::new();
    /// recorder.call(10, "phone", Action::remove("m", "k"));
    /// assert_eq!(recorder.history().events().len(), 1);
    /// ```
    #[must_use]
    pub fn history(&self) -> History {
        self.lock().history.clone()
    }
}

/// Continues a history, for example one that a killed process left in its file: the numbers of
/// calls go on after the highest of each session.
impl From<History> for Recorder {
    fn from(history: History) -> Self {
        let mut next = BTreeMap::new();
        for event in history.events() {
            if let Happening::Call { number, .. } = &event.happening {
                let above = next.entry(event.session.clone()).or_default();
                *above = number.saturating_add(1).max(*above);
            }
        }
        let log = Arc::new(Mutex::new(Log { history, next }));
        Self {
            log,
            observer: None,
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.lock().history.events().len();
        f.debug_struct("Recorder")
            .field("events", &events)
            .finish_non_exhaustive()
    }
}
