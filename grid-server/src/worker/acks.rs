//! Telling those who pushed what became of their ops.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::codec::{exception_bound, fitting};
use grid_core::limits::MAX_ITEMS_PER_MESSAGE;
use grid_core::op::{AckLevel, RunId};
use grid_core::partition::Outcome;
use grid_core::protocol::{Ack, Deferred, Exception, Message, NumberRange, Verdict};
use grid_core::{PartitionId, Sequence};

use super::batch::{Pushed, Sources};
use super::held::{Recipient, Telling};
use super::message::Origin;
use crate::partition_service::Early;
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
                window: None,
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

    /// Tells a program, or takes note for a client.
    pub(super) fn tell(&mut self, partition: PartitionId, telling: Telling) {
        let Telling {
            to,
            number,
            outcome,
        } = telling;
        match to {
            Recipient::Session(session, run) => {
                self.add(&session, run, partition, number, outcome);
            }
            Recipient::Program(reply) => {
                // Nobody listening means that the caller lost interest.
                let _ = reply.send(Ok(outcome));
            }
        }
    }

    /// The acks, each fit for a frame, with the connections that they go to.
    pub(super) fn finish(self) -> impl Iterator<Item = (Arc<Session>, Ack)> {
        self.acks.into_values().flat_map(|(session, ack)| {
            let parts = split(ack).into_iter();
            parts.map(move |part| (session.clone(), part))
        })
    }
}

/// Most ranges in one ack: the items of a message, of which a range takes two, and some room.
const MAX_RANGES: usize = MAX_ITEMS_PER_MESSAGE / 4;

/// An ack as one or several that fit into frames.
fn split(mut ack: Ack) -> Vec<Ack> {
    let mut accepted = std::mem::take(&mut ack.accepted).into_iter();
    let mut exceptions = std::mem::take(&mut ack.exceptions).into_iter();
    let mut parts = Vec::new();
    while !(accepted.as_slice().is_empty() && exceptions.as_slice().is_empty()) {
        let count = fitting(exceptions.as_slice().iter().map(exception_bound));
        parts.push(Ack {
            accepted: accepted.by_ref().take(MAX_RANGES).collect(),
            exceptions: exceptions.by_ref().take(count).collect(),
            ..ack.clone()
        });
    }
    parts
}

/// Sends an ack, and counts its ops as answered.
pub(super) fn send_ack(session: &Session, ack: Ack) {
    let ops =
        ack.exceptions.len() as u64 + ack.accepted.iter().map(|range| range.count).sum::<u64>();
    session.ops_answered(usize::try_from(ops).unwrap_or(usize::MAX));
    session.answer(&Message::Ack(ack));
}

/// Clients that are told as soon as their ops are decided.
#[derive(Debug, Default)]
pub(super) struct EarlyAcks {
    recipients: BTreeMap<PartitionId, Vec<EarlyRecipient>>,
}

#[derive(Debug)]
struct EarlyRecipient {
    /// The place of its op among the partition's proposals.
    place: usize,
    session: Arc<Session>,
    run: RunId,
    /// The op's number.
    number: u64,
}

impl EarlyAcks {
    /// Those who want to be told early, if there are any.
    pub(super) fn of(sources: &Sources, pushes: &[Pushed]) -> Option<Self> {
        let mut recipients: BTreeMap<PartitionId, Vec<_>> = BTreeMap::new();
        for (partition, sources) in sources {
            for (place, source) in sources.iter().enumerate() {
                let pushed = &pushes[source.push];
                if source.level == AckLevel::Memory
                    && let Some(session) = session_of(pushed)
                {
                    let recipient = EarlyRecipient {
                        place,
                        session: session.clone(),
                        run: pushed.run,
                        number: source.number,
                    };
                    recipients.entry(*partition).or_default().push(recipient);
                }
            }
        }
        (!recipients.is_empty()).then_some(Self { recipients })
    }
}

impl Early for EarlyAcks {
    fn decided(&mut self, partition: PartitionId, outcomes: &[Outcome]) {
        let mut acks = Acks::default();
        for recipient in self.recipients.remove(&partition).unwrap_or_default() {
            if let Some(outcome) = outcomes.get(recipient.place) {
                let EarlyRecipient { run, number, .. } = recipient;
                acks.add(&recipient.session, run, partition, number, outcome.clone());
            }
        }
        for (session, ack) in acks.finish() {
            send_ack(&session, ack);
        }
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

#[cfg(test)]
mod tests {
    use grid_core::codec::CborCodec;
    use grid_core::protocol::{Message, RejectReason, write_frame};

    use super::*;

    #[test]
    fn verdicts_of_one_batch_fit_into_frames_however_many_and_long_they_are() {
        let session = Session::for_tests();
        let mut acks = Acks::default();
        // Every other op is of another partition.
        let numbers: Vec<u64> = (1..=40_000).step_by(2).collect();
        for number in &numbers {
            let verdict = if *number < 20_000 {
                Verdict::Accepted
            } else {
                Verdict::Rejected {
                    reason: RejectReason::Forbidden,
                    message: "no".repeat(200),
                }
            };
            let outcome = Outcome {
                verdict,
                sequence: Sequence(*number),
            };
            acks.add(&session, RunId(7), PartitionId(1), *number, outcome);
        }
        let mut told = Vec::new();
        for (_, ack) in acks.finish() {
            assert_eq!(ack.sequence, Sequence(39_999));
            told.extend(ack.accepted.iter().flat_map(|r| r.first..r.first + r.count));
            told.extend(ack.exceptions.iter().map(|exception| exception.number));
            let mut frame = bytes::BytesMut::new();
            write_frame(&CborCodec, &Message::Ack(ack), &mut frame).unwrap();
        }
        told.sort_unstable();
        assert_eq!(told, numbers);
    }
}
