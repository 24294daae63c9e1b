//! What a checker found.

use std::fmt;

use super::event::{Event, Happening};

/// What is guaranteed.
///
/// ```
/// use grid_testkit::history::Guarantee;
///
/// assert_eq!(Guarantee::ReadYourWrites.to_string(), "read your writes");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Guarantee {
    /// The history itself makes sense: a return has its call, a call has a number of its own.
    WellFormed,
    /// Each key behaves as if every operation at the server took effect in one instant between
    /// its call and its return.
    Linearizability,
    /// A session reads its own writes, or later versions.
    ReadYourWrites,
    /// A session's reads never go back.
    MonotonicReads,
    /// A session's writes take effect in their order.
    MonotonicWrites,
    /// A session's writes come after what it had read.
    WritesFollowReads,
    /// All parties end with the same.
    Convergence,
    /// Every op has one fate, and one identity.
    OneFate,
    /// What was acked is there, or lost against a later version.
    AckedIsKept,
    /// What was rejected is nowhere to be seen.
    RejectedLeavesNoTrace,
    /// What is seen was written by somebody.
    NothingFromNowhere,
    /// No op takes effect twice.
    AppliedOnce,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WellFormed => "a well-formed history",
            Self::Linearizability => "linearizability",
            Self::ReadYourWrites => "read your writes",
            Self::MonotonicReads => "monotonic reads",
            Self::MonotonicWrites => "monotonic writes",
            Self::WritesFollowReads => "writes follow reads",
            Self::Convergence => "convergence",
            Self::OneFate => "one fate for every op",
            Self::AckedIsKept => "acked is kept",
            Self::RejectedLeavesNoTrace => "rejected leaves no trace",
            Self::NothingFromNowhere => "nothing from nowhere",
            Self::AppliedOnce => "applied once",
        })
    }
}

/// How sure a checker is.
///
/// ```
/// use grid_testkit::history::Finding;
///
/// assert_ne!(Finding::Broken, Finding::Undecided);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The guarantee does not hold: the witness cannot have come about otherwise.
    Broken,
    /// Nothing was found within the checker's bound, or there was nothing to check. Not a pass.
    Undecided,
}

/// What a checker found, with the events that show it. Printing it gives a report to read.
///
/// ```
/// use grid_testkit::history::{Action, Guarantee, Outcome, Recorder, Seen, Source};
/// use grid_testkit::history::check_sessions;
///
/// let recorder = Recorder::new();
/// let put = recorder.call(10, "phone", Action::put("lists", "milk", 1));
/// recorder.returned(20, &put, Outcome::Durable);
/// let get = recorder.call(30, "phone", Action::get(Source::Local, "lists", "milk"));
/// recorder.returned(40, &get, Outcome::Read(Seen::absent()));
///
/// let violation = check_sessions(&recorder.history()).expect_err("the write is not seen");
/// assert_eq!(violation.guarantee, Guarantee::ReadYourWrites);
/// assert_eq!(violation.to_string(), "\
/// read your writes is broken: phone reads nothing at lists/milk after its own put of 1, and nobody removed it
///     0.000000010 s  phone         #0 put lists/milk = 1
///     0.000000020 s  phone         #0 durable
///     0.000000030 s  phone         #1 get lists/milk from its own copy
///     0.000000040 s  phone         #1 read nothing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is not given.
    pub guarantee: Guarantee,
    /// Whether that is certain.
    pub finding: Finding,
    /// What is wrong, in words; several lines if there is much to tell.
    pub explanation: String,
    /// The events that show it, in order, and no more than are needed. A state is cut down to the
    /// keys that matter.
    pub witness: Vec<Event>,
}

impl Violation {
    /// Cuts the states of the witness down to one entry.
    pub(super) fn keep_only(&mut self, (map, key): (&str, &str)) {
        for event in &mut self.witness {
            if let Happening::State(state) = &mut event.happening {
                state
                    .entries
                    .retain(|held, _| state.map == map && held == key);
            }
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = match self.finding {
            Finding::Broken => "is broken",
            Finding::Undecided => "is undecided",
        };
        write!(f, "{} {finding}: {}", self.guarantee, self.explanation)?;
        for event in &self.witness {
            write!(f, "\n{event}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

/// How much a check that passed rests on, so that a test can assert that it was not empty.
///
/// ```
/// use grid_testkit::history::{History, check_linearizable};
///
/// let checked = check_linearizable(&History::new())?;
/// assert_eq!(checked.decided, 0, "an empty history shows nothing");
/// # Ok::<(), grid_testkit::history::Violation>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Operations (for [`check_convergence`](super::check_convergence): entries) that were held
    /// to the guarantee.
    pub decided: usize,
    /// Those of which the history tells too little.
    pub undecided: usize,
}
