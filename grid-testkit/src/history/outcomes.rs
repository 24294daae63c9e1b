//! What became of every op, and whether the end agrees with what was told.

use super::event::Call;
use super::history::History;
use super::operation::Operations;
use super::outcome::Outcome;
use super::violation::Violation;

mod applied;
mod fates;
mod kept;
mod sight;
mod traces;

/// What became of the writes of a history: each is counted, or listed, exactly once.
///
/// ```
/// use grid_testkit::history::{Action, Recorder, check_outcomes};
///
/// let recorder = Recorder::new();
/// let crashed = recorder.call(10, "phone", Action::put("lists", "milk", 1));
/// let fates = check_outcomes(&recorder.history())?;
/// assert_eq!(fates.unknown, [crashed]);
/// assert_eq!(fates.writes(), 1);
/// # Ok::<(), grid_testkit::history::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fates {
    /// Writes that took effect.
    pub acked: usize,
    /// Writes that lost against a later version.
    pub superseded: usize,
    /// Writes that the server refused.
    pub rejected: usize,
    /// Writes that are durable on their devices, and no more is known.
    pub pending: Vec<Call>,
    /// Writes of which nothing is known.
    pub unknown: Vec<Call>,
}

impl Fates {
    /// All writes.
    ///
    /// ```
    /// # use grid_testkit::history::{History, check_outcomes};
    /// assert_eq!(check_outcomes(&History::new())?.writes(), 0);
    /// # Ok::<(), grid_testkit::history::Violation>(())
    /// ```
    #[must_use]
    pub fn writes(&self) -> usize {
        self.acked + self.superseded + self.rejected + self.pending.len() + self.unknown.len()
    }
}

/// Accounts for every write, and holds what was told of it against what is seen.
///
/// - **One fate**: no write is told two fates that contradict each other, no two calls share an
///   op, and no op has two versions.
/// - **Applied once**: where streams or journals were recorded ([`Applied`](super::Applied)), no
///   op stands under two sequences, and no sequence of a partition has two ops.
/// - **Rejected leaves no trace**: no final state, stream, read of the server or read of another
///   session shows a rejected write; nor does a read of its own session after it was told.
/// - **Nothing from nowhere**: every value that is seen was put there by a write that had been
///   called by then, and where a version is seen too, by the op that the version names.
/// - **Acked is kept**: in every [`FinalState`](super::FinalState), an acked write is what is
///   there, or something is there that may be later; a removed entry was removed by something
///   that may be later. May be later: unless both versions are known and say otherwise; unless
///   the same session and run made it before; unless it is stamped before a clock that was right
///   when the acked write was called. A superseded write is not what is there. Durable writes of
///   a session whose own state is `settled` are held to the same.
///
/// Final states are taken when everything has come to rest, so check
/// [convergence](super::check_convergence) as well.
///
/// ```
/// use std::collections::BTreeMap;
/// use grid_testkit::history::{Action, FinalState, Guarantee, Outcome, Recorder};
/// use grid_testkit::history::check_outcomes;
///
/// let recorder = Recorder::new();
/// let call = recorder.call(10, "phone", Action::put("lists", "milk", 1));
/// recorder.returned(20, &call, Outcome::acked());
/// let (map, entries) = ("lists".to_owned(), BTreeMap::new());
/// recorder.state(90, "server", FinalState { map, entries, settled: true });
///
/// let violation = check_outcomes(&recorder.history()).expect_err("the server lost it");
/// assert_eq!(violation.guarantee, Guarantee::AckedIsKept);
/// ```
///
/// # Errors
/// The first violation, in the order of the list above.
pub fn check_outcomes(history: &History) -> Result<Fates, Violation> {
    let operations = Operations::of(history)?;
    fates::check(&operations)?;
    applied::check(&operations)?;
    let sights = sight::sights(&operations);
    for sight in &sights {
        traces::check(&operations, sight)?;
    }
    kept::check(&operations, &sights)?;
    Ok(account(&operations))
}

fn account(operations: &Operations<'_>) -> Fates {
    let mut fates = Fates::default();
    for op in operations.all.iter().filter(|op| op.action.is_write()) {
        match op.outcome() {
            Some(Outcome::Acked { .. }) => fates.acked += 1,
            Some(Outcome::Superseded { .. }) => fates.superseded += 1,
            Some(Outcome::Rejected { .. }) => fates.rejected += 1,
            _ if op.is_pending() => fates.pending.push(op.name()),
            _ => fates.unknown.push(op.name()),
        }
    }
    fates
}
