//! Every place of a history where an entry is seen.

use std::collections::BTreeMap;

use crate::history::action::{Action, Source};
use crate::history::event::Happening;
use crate::history::operation::{Operations, Place};
use crate::history::outcome::Outcome;
use crate::history::seen::Seen;

/// How something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By a read of the session's own copy; with the index of the operation.
    Local(usize),
    /// By a read of the server; with the index of the operation.
    Server(usize),
    /// In a stream or a journal.
    Applied,
    /// In the state that a party ends with.
    Final,
}

/// One entry that was seen. Moments are indices of events.
#[derive(Debug, Clone)]
pub(super) struct Sight<'h> {
    pub(super) how: How,
    /// When it had been seen.
    pub(super) moment: usize,
    /// Who saw it.
    pub(super) session: &'h str,
    pub(super) place: Place<'h>,
    pub(super) seen: &'h Seen,
}

impl Sight<'_> {
    /// The operation that saw it.
    pub(super) fn reader(&self) -> Option<usize> {
        match self.how {
            How::Local(op) | How::Server(op) => Some(op),
            How::Applied | How::Final => None,
        }
    }
}

/// Everything that is seen, in order; of several final states of a party and map, the last.
pub(super) fn sights<'h>(operations: &Operations<'h>) -> Vec<Sight<'h>> {
    let mut sights = Vec::new();
    for (index, op) in operations.all.iter().enumerate() {
        let (Some((moment, outcome)), Some(source)) = (op.end(), op.action.source()) else {
            continue;
        };
        let how = match source {
            Source::Local => How::Local(index),
            Source::Server => How::Server(index),
        };
        let mut add = |key: &'h str, seen: &'h Seen| {
            sights.push(Sight {
                how,
                moment,
                session: op.session,
                place: (op.action.map(), key),
                seen,
            });
        };
        match (op.action, outcome) {
            (Action::Get { key, .. }, Outcome::Read(seen)) => add(key, seen),
            (_, Outcome::Scanned(entries)) => {
                entries.iter().for_each(|(key, seen)| add(key, seen));
            }
            _ => {}
        }
    }
    for (moment, event) in operations.history.events().iter().enumerate() {
        if let Happening::Applied(applied) = &event.happening {
            sights.push(Sight {
                how: How::Applied,
                moment,
                session: &event.session,
                place: (&applied.map, &applied.key),
                seen: &applied.seen,
            });
        }
    }
    for ((session, _), moment) in final_states(operations) {
        let event = operations.history.events().get(moment);
        let Some(Happening::State(state)) = event.map(|event| &event.happening) else {
            continue;
        };
        sights.extend(state.entries.iter().map(|(key, seen)| Sight {
            how: How::Final,
            moment,
            session,
            place: (&state.map, key),
            seen,
        }));
    }
    sights
}

/// By party and map, the event that tells its last state.
pub(super) fn final_states<'h>(operations: &Operations<'h>) -> BTreeMap<(&'h str, &'h str), usize> {
    let mut states = BTreeMap::new();
    for (moment, event) in operations.history.events().iter().enumerate() {
        if let Happening::State(state) = &event.happening {
            states.insert((event.session.as_str(), state.map.as_str()), moment);
        }
    }
    states
}
