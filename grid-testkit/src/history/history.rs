//! The events of a run, in order.

use std::cmp::Reverse;
use std::fmt;

use super::event::{Event, Happening};

/// The events of a run, in the order in which they happened.
///
/// The order of the list is what the checkers go by: of two calls, one came before the other only
/// if its return stands before the other's call. Push events in order, or [merge](History::merge)
/// the histories of several processes by their times.
///
/// ```
/// use grid_testkit::history::{Action, History, Outcome, Recorder, Seen, Source};
/// use grid_testkit::history::check_linearizable;
///
/// let recorder = Recorder::new();
/// let put = recorder.call(10, "phone", Action::put("lists", "milk", 1));
/// recorder.returned(20, &put, Outcome::acked());
/// let get = recorder.call(30, "laptop", Action::get(Source::Server, "lists", "milk"));
/// recorder.returned(40, &get, Outcome::Read(Seen::value(1)));
/// let history = recorder.history();
///
/// // It survives the way through a file.
/// assert_eq!(History::from_json_lines(&history.to_json_lines())?, history);
/// assert!(check_linearizable(&history).is_ok());
/// # Ok::<(), grid_testkit::history::BadLine>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    events: Vec<Event>,
}

/// A line that is no event.
///
/// ```
/// use grid_testkit::history::History;
///
/// let error = History::from_json_lines("\nhello\n").expect_err("that is no event");
/// assert_eq!(error.line, 2);
/// ```
#[derive(Debug)]
pub struct BadLine {
    /// Its number, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no event: {}", self.line, self.source)
    }
}

impl std::error::Error for BadLine {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl History {
    /// A history without events.
    ///
    /// ```
    /// # use grid_testkit::history::History;
    /// assert!(History::new().events().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The events, in order.
    ///
    /// ```
    /// # use grid_testkit::history::History;
    /// for event in History::new().events() {
    ///     println!("{event}");
    /// }
    /// ```
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Adds an event that happened after all others.
    ///
    /// ```
    /// # use grid_testkit::history::{Event, Happening, History, Outcome};
    /// let mut history = History::new();
    /// history.push(Event {
    ///     at_ns: 5,
    ///     session: "phone".to_owned(),
    ///     happening: Happening::Return { number: 0, outcome: Outcome::Durable, id: None },
    /// });
    /// assert_eq!(history.events().len(), 1);
    /// ```
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Adds the events of another process and orders all of them by time. Where times are equal,
    /// returns come after calls, so that calls that may have overlapped count as overlapping.
    /// Clocks of different machines must agree better than the shortest call takes, or orders are
    /// found that never were.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, History, Outcome, Recorder};
    /// let (phone, laptop) = (Recorder::new(), Recorder::new());
    /// laptop.call(20, "laptop", Action::put("m", "k", 2));
    /// phone.call(10, "phone", Action::put("m", "k", 1));
    /// let mut history = laptop.history();
    /// history.merge(phone.history());
    /// assert_eq!(history.events()[0].session, "phone");
    /// ```
    pub fn merge(&mut self, other: Self) {
        self.events.extend(other.events);
        self.events.sort_by_key(|event| {
            let calls = matches!(event.happening, Happening::Call { .. });
            (event.at_ns, Reverse(calls))
        });
    }

    /// The history as JSON Lines, one event a line.
    ///
    /// ```
    /// # use grid_testkit::history::History;
    /// assert_eq!(History::new().to_json_lines(), "");
    /// ```
    #[must_use]
    pub fn to_json_lines(&self) -> String {
        self.events.iter().map(Event::to_json_line).collect()
    }

    /// Reads JSON Lines; empty lines are passed over.
    ///
    /// ```
    /// # use grid_testkit::history::History;
    /// let lines = r#"{"at_ns":1,"session":"phone","call":{"number":0,"action":{"put":{"map":"m","key":"k","value":"1"}}}}
    /// {"at_ns":2,"session":"phone","return":{"number":0,"outcome":{"acked":{}}}}"#;
    /// assert_eq!(History::from_json_lines(lines)?.events().len(), 2);
    /// # Ok::<(), grid_testkit::history::BadLine>(())
    /// ```
    ///
    /// # Errors
    /// The first line that is no event.
    pub fn from_json_lines(lines: &str) -> Result<Self, BadLine> {
        let numbered = (1..).zip(lines.lines());
        let events = numbered.filter(|(_, line)| !line.trim().is_empty());
        let events = events.map(|(number, line)| {
            serde_json::from_str(line).map_err(|source| BadLine {
                line: number,
                source,
            })
        });
        let events = events.collect::<Result<_, _>>()?;
        Ok(Self { events })
    }
}

impl Event {
    /// The event as one line of JSON, with the line's end.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, Recorder};
    /// let recorder = Recorder::new();
    /// recorder.call(10, "phone", Action::remove("m", "k"));
    /// let line = recorder.history().events()[0].to_json_line();
    /// assert!(line.starts_with(r#"{"at_ns":10,"session":"phone""#) && line.ends_with('\n'));
    /// ```
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "an event holds text, numbers and maps with text as keys: all of it is JSON"
    )]
    pub fn to_json_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("every event has a JSON form");
        line.push('\n');
        line
    }
}

impl FromIterator<Event> for History {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        Self {
            events: events.into_iter().collect(),
        }
    }
}
