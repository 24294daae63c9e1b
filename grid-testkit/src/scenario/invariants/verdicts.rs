//! Verdicts are true.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::protocol::{Message, Verdict};
use grid_core::{OpId, PartitionId, RunId, Stamp};

use super::sent::{sent, sent_delta};
use crate::scenario::{Event, Invariant, View};

/// What is superseded lost against a later version, what is refused leaves no trace, and an op
/// that was refused once is not accepted later.
#[derive(Debug, Default)]
pub(super) struct VerdictsAreTrue {
    issued: BTreeMap<OpId, Stamp>,
    refused: BTreeMap<OpId, PartitionId>,
    /// Runs whose clock is ahead, or may seem so: the server stamps their ops anew, and does not
    /// tell those that lost.
    ahead: BTreeSet<RunId>,
}

impl Invariant for VerdictsAreTrue {
    fn name(&self) -> &'static str {
        "verdicts are true"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        if let Event::PutBack { remains, .. } = event {
            // A refusal that is forgotten may turn out otherwise.
            self.refused
                .retain(|op, partition| remains.has_decided(*partition, *op));
        }
        match sent(event) {
            Some((_, Message::Push(push))) => {
                // Half of what is allowed, for servers' clocks are off as well.
                let latest = view.now_ms() + view.allowed_drift_ms() / 2;
                for op in &push.ops {
                    if op.hlc.millis() > latest || !view.restamps_tell() {
                        self.ahead.insert(op.id.run);
                    }
                    self.issued.insert(op.id, op.stamp());
                }
            }
            Some((_, Message::Ack(ack))) => {
                for exception in &ack.exceptions {
                    let op = OpId {
                        run: ack.run,
                        number: exception.number,
                    };
                    self.verdict(op, ack.partition, &exception.verdict, view)?;
                }
            }
            _ => {}
        }
        if let Some((_, delta)) = sent_delta(event) {
            let mut records = delta.records.iter();
            if let Some(trace) = records.find(|one| self.refused.contains_key(&one.stamp.op)) {
                return Err(format!(
                    "{} holds op {}, which was refused",
                    trace.key, trace.stamp.op
                ));
            }
        }
        Ok(())
    }
}

impl VerdictsAreTrue {
    fn verdict(
        &mut self,
        op: OpId,
        partition: PartitionId,
        verdict: &Verdict,
        view: &View<'_>,
    ) -> Result<(), String> {
        match verdict {
            // A server may forget what it told before the journal had it.
            Verdict::Rejected { .. } if !view.is_in_memory(op) => {
                self.refused.insert(op, partition);
            }
            Verdict::Superseded(by) => {
                let forgotten = by.op == OpId::default();
                if let Some(stamp) = self.issued.get(&op)
                    && !self.ahead.contains(&op.run)
                    && !forgotten
                    && view.later_wins()
                    && by <= stamp
                {
                    return Err(format!(
                        "op {op} is stamped {stamp} and was told to have lost against {by}"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
