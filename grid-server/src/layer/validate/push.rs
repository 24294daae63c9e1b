//! Checks of pushes.

use grid_core::Result;
use grid_core::codec::validate;
use grid_core::limits::MAX_CBOR_DEPTH;
use grid_core::op::{Action, Op};
use grid_core::partition::Veto;
use grid_core::protocol::{Push, RejectReason};
use grid_core::query::check_names;

use super::error::{beyond_window, broken, too_many_runs};
use super::limits::Limits;
use crate::sessions::Session;

/// A client that pushes again after a refusal counts its window anew, while what it pushed before
/// may not be answered yet.
const WINDOWS_IN_FLIGHT: usize = 2;

/// Runs that one connection may push ops of, those aside that it has released. A client has one of
/// its own, and those of earlier openings of its store that are not finished.
pub(super) const MAX_RUNS: usize = 4096;

/// Checks a push, and returns the vetoes of its ops.
pub(super) fn check_push(
    limits: &Limits,
    session: &Session,
    push: &Push,
) -> Result<Vec<(usize, Veto)>> {
    check_numbers(push)?;
    check_continuity(session, push)?;
    let unanswered = session.ops_read(push.ops.len());
    if unanswered > limits.push_window.saturating_mul(WINDOWS_IN_FLIGHT) {
        return Err(beyond_window(unanswered, limits.push_window));
    }
    let vetoes = push
        .ops
        .iter()
        .enumerate()
        .filter_map(|(index, op)| Some((index, check_op(limits, op)?)))
        .collect();
    Ok(vetoes)
}

fn check_numbers(push: &Push) -> Result<()> {
    if push.run.0 == 0 {
        return Err(broken("run 0 is nobody's"));
    }
    if push.ops.is_empty() {
        return Err(broken("a push without ops"));
    }
    let mut last = 0;
    for op in &push.ops {
        // After the last number there is none to say where a range of them ends.
        if op.id.run != push.run || op.id.number <= last || op.id.number == u64::MAX {
            return Err(broken(
                "the ops of a push are of its run, with ascending numbers from 1",
            ));
        }
        last = op.id.number;
    }
    Ok(())
}

/// Compares the op that the client says it pushed before with the one that was seen.
fn check_continuity(session: &Session, push: &Push) -> Result<()> {
    let last = push.ops.last().map_or(0, |op| op.id.number);
    let mut pushed = session.pushed();
    if pushed.len() >= MAX_RUNS && !pushed.contains_key(&push.run) {
        return Err(too_many_runs(MAX_RUNS));
    }
    let seen = pushed.insert(push.run, last).unwrap_or(0);
    if !push.resume && push.previous != seen {
        return Err(broken(format!(
            "the push follows on op {} of run {}, but the last one that arrived is {seen}: the \
             transport lost or doubled a frame",
            push.previous, push.run
        )));
    }
    Ok(())
}

fn check_op(limits: &Limits, op: &Op) -> Option<Veto> {
    let Action::Put { value, .. } = &op.action else {
        return None;
    };
    if value.len() > limits.max_value_bytes {
        return Some(Veto {
            reason: RejectReason::TooLarge,
            message: format!(
                "the value has {} bytes; at most {} are allowed",
                value.len(),
                limits.max_value_bytes
            ),
        });
    }
    // Its bytes bound its items: each takes one at least.
    let error = validate(value, MAX_CBOR_DEPTH, value.len())
        .and_then(|()| check_names(value))
        .err()?;
    Some(Veto {
        reason: RejectReason::Malformed,
        message: error.to_string(),
    })
}
