//! Telling those who pushed what became of their ops.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::op::RunId;
use grid_core::partition::Outcome;
use grid_core::protocol::{Ack, Deferred, Exception, Message, NumberRange, Verdict};
use grid_core::{PartitionId, Sequence};

use super::batch::Pushed;
use super::message::Origin;
use crate::sessions::{Session, SessionId};

/// Acks of one partition, one for each connection and run.
#[derive(Debug, Default)]
pub(super) struct Acks {
    acks: BTreeMap<(SessionId, RunId), (Arc<Session>, Ack)>,
}

impl Acks {
    /// Takes note of one outcome.
    pub(super) fn add(
        &mut self,
        session: &Arc<Session>,
        run: RunId,
        partition: PartitionId,
        number: u64,
        outcome: Outcome,
    ) {
        let (_, ack) = self.acks.entry((session.id(), run)).or_insert_with(|| {
            let ack = Ack {
                run,
                partition,
                sequence: Sequence::ZERO,
                accepted: Vec::new(),
                exceptions: Vec::new(),
            };
            (session.clone(), ack)
        });
        ack.sequence = ack.sequence.max(outcome.sequence);
        if outcome.verdict != Verdict::Accepted {
            ack.exceptions.push(Exception {
                number,
                verdict: outcome.verdict,
            });
            return;
        }
        match ack.accepted.last_mut() {
            Some(range) if range.first + range.count == number => range.count += 1,
            _ => ack.accepted.push(NumberRange {
                first: number,
                count: 1,
            }),
        }
    }

    /// The acks, with the connections that they go to.
    pub(super) fn finish(self) -> impl Iterator<Item = (Arc<Session>, Ack)> {
        self.acks.into_values()
    }
}

/// Ops that could not be taken, by connection and run, from the lowest number on.
#[derive(Debug, Default)]
pub(super) struct Deferrals {
    deferred: BTreeMap<(SessionId, RunId), (Arc<Session>, u64, String)>,
}

impl Deferrals {
    pub(super) fn add(&mut self, session: &Arc<Session>, run: RunId, from: u64, message: &str) {
        let (_, lowest, _) = self
            .deferred
            .entry((session.id(), run))
            .or_insert_with(|| (session.clone(), from, message.to_owned()));
        *lowest = from.min(*lowest);
    }

    /// Tells the clients, and returns from where on each run has to come again.
    pub(super) fn tell(self, retry_after_ms: u32) -> Vec<(SessionId, RunId, u64)> {
        self.deferred
            .into_iter()
            .map(|((id, run), (session, from, message))| {
                session.answer(&Message::Deferred(Deferred {
                    run,
                    from,
                    message,
                    retry_after_ms,
                }));
                (id, run, from)
            })
            .collect()
    }
}

/// The connection behind a push; the program's own pushes have none.
pub(super) fn session_of(push: &Pushed) -> Option<&Arc<Session>> {
    match &push.origin {
        Origin::Session(session) => Some(session),
        Origin::Program { .. } => None,
    }
}
