//! Who waits for the verdicts of which ops.

use std::collections::BTreeMap;

use grid_core::protocol::Verdict;
use grid_core::{Key, MapName, OpId};
use tokio::sync::oneshot;

use crate::fate::{Fate, Rejected};

/// The outcome of one or several writes of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) acked: usize,
    pub(crate) superseded: Vec<(OpId, Fate)>,
    pub(crate) rejected: Vec<Rejected>,
}

#[derive(Debug)]
struct Ticket {
    left: usize,
    outcome: Outcome,
    done: oneshot::Sender<Outcome>,
}

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    next: u64,
    tickets: BTreeMap<u64, Ticket>,
    ops: BTreeMap<OpId, u64>,
}

impl Tickets {
    /// A ticket for `ops`, which is done once all of them are decided.
    pub(crate) fn issue(&mut self, ops: &[OpId]) -> oneshot::Receiver<Outcome> {
        let (done, receiver) = oneshot::channel();
        let outcome = Outcome::default();
        if ops.is_empty() {
            // Nobody can have dropped the receiver that is returned below.
            let _delivered = done.send(outcome);
            return receiver;
        }
        let number = self.next;
        self.next += 1;
        self.ops.extend(ops.iter().map(|op| (*op, number)));
        let ticket = Ticket {
            left: ops.len(),
            outcome,
            done,
        };
        self.tickets.insert(number, ticket);
        receiver
    }

    pub(crate) fn decided(&mut self, op: OpId, map: &MapName, key: &Key, verdict: &Verdict) {
        let Some(number) = self.ops.remove(&op) else {
            return;
        };
        let Some(ticket) = self.tickets.get_mut(&number) else {
            return;
        };
        match verdict {
            Verdict::Accepted | Verdict::Restamped(_) => ticket.outcome.acked += 1,
            Verdict::Superseded(by) => ticket
                .outcome
                .superseded
                .push((op, Fate::Superseded { by: *by })),
            Verdict::Rejected { reason, message } => ticket.outcome.rejected.push(Rejected {
                op,
                map: map.clone(),
                key: key.clone(),
                reason: *reason,
                message: message.clone(),
            }),
        }
        ticket.left -= 1;
        if ticket.left == 0
            && let Some(ticket) = self.tickets.remove(&number)
        {
            // Whoever asked may have lost interest.
            let _ignored = ticket.done.send(ticket.outcome);
        }
    }

    /// Nobody will decide anything any more.
    pub(crate) fn close(&mut self) {
        self.ops.clear();
        self.tickets.clear();
    }
}
