//! One line of a history.

use std::collections::BTreeMap;
use std::fmt;

use grid_core::OpId;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::outcome::Outcome;
use super::seen::Seen;
use super::text;

/// A call, named so that what it came to can be told: its session, and its number there.
///
/// ```
/// use grid_testkit::history::Call;
///
/// let call = Call { session: "phone".to_owned(), number: 3 };
/// assert_eq!(call.to_string(), "phone #3");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The session.
    pub session: String,
    /// The call's number, which no other call of the session has.
    pub number: u64,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.session, self.number)
    }
}

/// That an op took effect, as read from a stream of events, a journal or a system of record.
///
/// ```
/// use grid_core::{OpId, RunId};
/// use grid_testkit::history::{Applied, Seen};
///
/// let applied = Applied {
///     id: OpId { run: RunId(1), number: 1 },
///     history: 0,
///     partition: 17,
///     sequence: 4,
///     map: "lists".to_owned(),
///     key: "milk".to_owned(),
///     seen: Seen::value(2),
/// };
/// assert!(applied.seen.value.is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The op.
    #[serde(with = "text::required")]
    pub id: OpId,
    /// The line of sequences that `sequence` belongs to; 0 where there is but one. A restored
    /// backup begins a new one, and an op that was lost with the old one may be applied again.
    #[serde(default)]
    pub history: u64,
    /// The partition.
    pub partition: u64,
    /// The sequence that the change got in its partition.
    pub sequence: u64,
    /// The map.
    pub map: String,
    /// The key.
    pub key: String,
    /// The entry afterwards.
    pub seen: Seen,
}

/// All entries of one map at one party at the end.
///
/// ```
/// use std::collections::BTreeMap;
/// use grid_testkit::history::{FinalState, Seen};
///
/// let state = FinalState {
///     map: "lists".to_owned(),
///     entries: BTreeMap::from([("milk".to_owned(), Seen::value(2))]),
///     settled: true,
/// };
/// assert_eq!(state.entries.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalState {
    /// The map.
    pub map: String,
    /// Its entries by key. A key whose [`Seen`] has no value counts as absent.
    pub entries: BTreeMap<String, Seen>,
    /// Whether this party has nothing more to send of this map, and every rejection that it was
    /// told is in the history. If so, [`check_outcomes`](super::check_outcomes) holds its durable
    /// writes to the same promise as acked ones, even if nobody was there to be told their fate.
    #[serde(default)]
    pub settled: bool,
}

/// What happened.
///
/// ```
/// use grid_testkit::history::{Happening, Outcome};
///
/// let returned = Happening::Return { number: 3, outcome: Outcome::Durable, id: None };
/// assert_eq!(returned.to_string(), "#3 durable");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The session calls an operation.
    Call {
        /// The call's number in its session.
        number: u64,
        /// The operation.
        action: Action,
        /// The device's wall clock, in milliseconds since 1970, if it is known to be right (and
        /// was, for as long as the session has written): the write cannot be stamped earlier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock_ms: Option<u64>,
    },
    /// A call of the session returns, or its fate is told.
    Return {
        /// The call's number.
        number: u64,
        /// What it came to.
        outcome: Outcome,
        /// The write's identity, if it is known.
        #[serde(
            default,
            with = "text::optional",
            skip_serializing_if = "Option::is_none"
        )]
        id: Option<OpId>,
    },
    /// The fate of a write is learned by its identity, for example after a restart.
    Learned {
        /// The write.
        #[serde(with = "text::required")]
        id: OpId,
        /// Its fate.
        outcome: Outcome,
    },
    /// An op took effect.
    Applied(Applied),
    /// What the party holds at the end. A later one of the same party and map replaces it.
    State(FinalState),
}

/// One event: when, at whom, and what.
///
/// As JSON it is one line:
///
/// ```
/// use grid_testkit::history::Event;
///
/// let line = r#"{"at_ns":5000,"session":"phone","return":{"number":3,"outcome":"durable"}}"#;
/// let event: Event = serde_json::from_str(line)?;
/// assert_eq!(event.to_string(), "    0.000005000 s  phone         #3 durable");
/// assert_eq!(serde_json::to_string(&event)?, line);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since a beginning that is the same for all sessions.
    pub at_ns: u64,
    /// The session, or the party whose stream or state this is.
    pub session: String,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { number, action, .. } => write!(f, "#{number} {action}"),
            Self::Return {
                number,
                outcome,
                id,
            } => {
                write!(f, "#{number} {outcome}")?;
                match id {
                    Some(id) => write!(f, " as op {id}"),
                    None => Ok(()),
                }
            }
            Self::Learned { id, outcome } => write!(f, "op {id} {outcome}"),
            Self::Applied(applied) => write!(
                f,
                "op {} is applied as sequence {} of partition {}: {}/{} = {}",
                applied.id,
                applied.sequence,
                applied.partition,
                applied.map,
                applied.key,
                applied.seen
            ),
            Self::State(state) if state.entries.is_empty() => {
                write!(f, "ends with nothing in {}", state.map)
            }
            Self::State(state) => {
                f.write_str("ends with ")?;
                for (number, (key, seen)) in state.entries.iter().enumerate() {
                    let comma = if number == 0 { "" } else { ", " };
                    write!(f, "{comma}{}/{key} = {seen}", state.map)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.at_ns / NANOS, self.at_ns % NANOS);
        write!(
            f,
            "{seconds:>5}.{nanos:09} s  {:<12}  {}",
            self.session, self.happening
        )
    }
}

const NANOS: u64 = 1_000_000_000;
