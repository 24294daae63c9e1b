//! What is seen was written by somebody, and not refused.

use grid_core::Stamp;

use super::sight::{How, Sight};
use crate::history::operation::{Operation, Operations};
use crate::history::violation::{Guarantee, Violation};

pub(super) fn check(operations: &Operations<'_>, sight: &Sight<'_>) -> Result<(), Violation> {
    let named = sight
        .seen
        .version
        .filter(|version| *version != Stamp::ZERO)
        .and_then(|version| operations.by_id.get(&version.op));
    if let Some(write) = named {
        return check_named(operations, sight, *write);
    }
    let Some(value) = &sight.seen.value else {
        return Ok(());
    };
    let puts = operations.puts(sight.place, value).iter().copied();
    let called = |put: &usize| {
        let op = operations.all.get(*put);
        op.is_some_and(|op| op.called < sight.moment)
    };
    let same: Vec<usize> = puts.filter(called).collect();
    if same.is_empty() {
        let what = format!(
            "{} sees {value} at {}, which nobody wrote",
            sight.session,
            at(sight)
        );
        return Err(violation(
            operations,
            Guarantee::NothingFromNowhere,
            what,
            sight,
            None,
        ));
    }
    let op = |write: &usize| operations.all.get(*write);
    let refused = |write: &usize| op(write).is_some_and(|op| is_trace(operations, op, sight));
    match same.first() {
        Some(first) if same.iter().all(refused) => Err(trace(operations, *first, sight)),
        _ => Ok(()),
    }
}

/// The version that is seen is of this write.
fn check_named(
    operations: &Operations<'_>,
    sight: &Sight<'_>,
    write: usize,
) -> Result<(), Violation> {
    let Some(op) = operations.all.get(write) else {
        return Ok(());
    };
    let written = op.action.value();
    if op.place() != Some(sight.place) || written != sight.seen.value.as_ref() {
        let what = format!(
            "{} sees {} at {}, but that op is of {}",
            sight.session,
            sight.seen,
            at(sight),
            op.name()
        );
        let nowhere = Guarantee::NothingFromNowhere;
        return Err(violation(operations, nowhere, what, sight, Some(write)));
    }
    if op.called > sight.moment {
        let what = format!(
            "{} sees {} at {} before {} wrote it",
            sight.session,
            sight.seen,
            at(sight),
            op.session
        );
        let nowhere = Guarantee::NothingFromNowhere;
        return Err(violation(operations, nowhere, what, sight, Some(write)));
    }
    if is_trace(operations, op, sight) {
        return Err(trace(operations, write, sight));
    }
    Ok(())
}

/// Whether nobody should see this write there.
fn is_trace(operations: &Operations<'_>, op: &Operation<'_>, sight: &Sight<'_>) -> bool {
    if !op.is_rejected() {
        return false;
    }
    let told = op.end().map_or(usize::MAX, |(moment, _)| moment);
    match sight.how {
        // A client shows its own pending writes until it learns that they were refused.
        How::Local(reader) if sight.session == op.session => {
            let reader = operations.all.get(reader);
            reader.is_some_and(|reader| reader.called > told)
        }
        How::Local(_) | How::Server(_) | How::Applied | How::Final => true,
    }
}

fn trace(operations: &Operations<'_>, write: usize, sight: &Sight<'_>) -> Violation {
    let what = format!(
        "{} sees {} at {}, which was rejected",
        sight.session,
        sight.seen,
        at(sight)
    );
    let guarantee = Guarantee::RejectedLeavesNoTrace;
    violation(operations, guarantee, what, sight, Some(write))
}

pub(super) fn at(sight: &Sight<'_>) -> String {
    format!("{}/{}", sight.place.0, sight.place.1)
}

pub(super) fn violation(
    operations: &Operations<'_>,
    guarantee: Guarantee,
    what: String,
    sight: &Sight<'_>,
    write: Option<usize>,
) -> Violation {
    let ops: Vec<usize> = sight.reader().into_iter().chain(write).collect();
    let mut broken = operations.broken(guarantee, what, &ops, &[sight.moment]);
    broken.keep_only(sight.place);
    broken
}
