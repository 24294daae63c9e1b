//! The first step of a write: from proposals to effects and verdicts, changing nothing.

use crate::clock::admit;
use crate::hlc::Hlc;
use crate::mutation::{Mutation, planted};
use crate::op::{Action, Op, OpId, RunId, Stamp};
use crate::protocol::{RejectReason, Verdict};
use crate::record::{Record, Sequence};
use crate::traits::Resolution;

use super::case::Case;
use super::draft::{Draft, Located};
use super::effects::Effects;
use super::machine::Partition;
use super::proposal::{Confirmation, Farewell, Outcome, Proposal, ProposalBatch, Rules, Timing};
use super::version::Version;

/// What a batch comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What it changes.
    pub effects: Effects,
    /// What became of each proposal, in order.
    pub outcomes: Vec<Outcome>,
}

impl Partition {
    /// Decides a batch at `now_ms` (milliseconds since 1970). Every proposal gets exactly one
    /// outcome and sees the effects of those before it. Nothing changes until the effects are
    /// applied.
    #[must_use]
    pub fn decide(&self, batch: &ProposalBatch, now_ms: u64, rules: &Rules) -> Decided {
        let now_ms = self.monotone(now_ms, rules);
        let mut draft = Draft::new(self, now_ms, batch.proposals.len());
        let outcomes = Case::all(self, &batch.proposals)
            .into_iter()
            .map(|case| self.decide_one(&mut draft, &case, now_ms, rules))
            .collect();
        let mut effects = draft.finish();
        effects.stored = self.confirmed(batch);
        effects.released = self.finished(batch);
        effects.mark =
            !effects.records.is_empty() && self.horizon.wants_mark(now_ms, rules.retention_ms);
        Decided { effects, outcomes }
    }

    /// The wall clock, kept from going back: what is stamped anew must not come before what was
    /// stamped anew a moment ago. A clock that was ahead by more than clients' clocks may be is
    /// let go back all the same.
    fn monotone(&self, now_ms: u64, rules: &Rules) -> u64 {
        let bound = now_ms.saturating_add(rules.allowed_drift_ms);
        now_ms.max(self.latest_ms.min(bound))
    }

    /// Confirmations that let something be forgotten.
    fn confirmed(&self, batch: &ProposalBatch) -> Vec<(RunId, u64)> {
        let forgets = |said: &&Confirmation| {
            self.runs
                .get(said.run)
                .filter(|run| run.principal == said.principal)
                .and_then(|run| run.exceptions.keys().next())
                .is_some_and(|first| *first <= said.through)
        };
        let stored = batch.stored.iter().filter(forgets);
        stored.map(|said| (said.run, said.through)).collect()
    }

    /// Runs that are released for the first time.
    fn finished(&self, batch: &ProposalBatch) -> Vec<RunId> {
        let is_new = |said: &&Farewell| self.may_release(said.run, &said.principal);
        let released = batch.released.iter().filter(is_new);
        released.map(|said| said.run).collect()
    }

    fn decide_one<'a>(
        &self,
        draft: &mut Draft<'a>,
        case: &Case<'a>,
        now_ms: u64,
        rules: &Rules,
    ) -> Outcome {
        let Case { proposal, .. } = case;
        let op = &proposal.op;
        let run = draft.run(op.id.run, &proposal.principal);
        if run.principal != proposal.principal {
            return Outcome {
                verdict: Verdict::Rejected {
                    reason: RejectReason::ForeignRun,
                    message: "another principal pushed this run first".to_owned(),
                },
                sequence: Sequence::ZERO,
            };
        }
        let decided = run.decided(op.id.number);
        if let Some(verdict) = decided.filter(|_| !planted(Mutation::SkipDedup)) {
            let at = draft.locate(&proposal.address, case.hash);
            let current = draft.current(at, &op.key, case.held);
            return Outcome {
                verdict,
                sequence: sequence_of(current.as_ref()),
            };
        }
        let outcome = self.weigh(draft, case, now_ms, rules);
        draft
            .run(op.id.run, &proposal.principal)
            .decide(op.id.number, &outcome.verdict);
        outcome
    }

    /// Decides an op that was not decided before.
    fn weigh<'a>(
        &self,
        draft: &mut Draft<'a>,
        case: &Case<'a>,
        now_ms: u64,
        rules: &Rules,
    ) -> Outcome {
        let Case { proposal, .. } = case;
        let op = &proposal.op;
        if let Some(veto) = &proposal.veto {
            return rejected(veto.reason, veto.message.clone());
        }
        let at = draft.locate(&proposal.address, case.hash);
        let current = draft.current(at, &op.key, case.held);
        let own = current.as_ref().filter(|found| found.stamp().op == op.id);
        // Without a condition the merge finds that there is nothing to do.
        if let Some(own) = own.filter(|_| op.if_version.is_some()) {
            draft.run(op.id.run, &proposal.principal).last_hlc = own.stamp().hlc;
            return again(op, own);
        }
        let (hlc, restamped) = final_hlc(draft, proposal, current.as_ref(), now_ms, rules);
        if let Some(refusal) = self.refuse(op, hlc, current.as_ref()) {
            return refusal;
        }
        draft.run(op.id.run, &proposal.principal).last_hlc = hlc;
        let accepted = if restamped {
            Verdict::Restamped(hlc)
        } else {
            Verdict::Accepted
        };
        let incoming = incoming(op, hlc);
        if proposal.timing == Timing::Server && op.if_version.is_some() {
            // It was made of the very version that is there: nothing is left to be merged.
            return Outcome {
                sequence: draft.write(at, incoming),
                verdict: accepted,
            };
        }
        merge(draft, at, incoming, current.as_ref(), rules, accepted)
    }

    /// The conditions under which an op takes no effect whatever its stamp.
    fn refuse(&self, op: &Op, hlc: Hlc, current: Option<&Version<'_>>) -> Option<Outcome> {
        if let Some(wanted) = op.if_version {
            let live = current.filter(|version| !version.is_tombstone());
            let found = live.map_or(Stamp::ZERO, Version::stamp);
            if found != wanted {
                return Some(rejected(
                    RejectReason::VersionMismatch,
                    format!("the entry is at version {found}"),
                ));
            }
        }
        let collected = self.horizon.highest_collected;
        if current.is_some() {
            return None;
        }
        match op.action {
            Action::Put { .. } if op.base != Hlc::ZERO && op.base <= collected => Some(rejected(
                RejectReason::Gone,
                "the entry was deleted longer ago than tombstones are kept".to_owned(),
            )),
            // Its tombstone would stand where a later one was collected, and let edits pass that
            // are later than it and earlier than the deletion.
            Action::Remove if hlc <= collected => Some(Outcome {
                verdict: Verdict::Superseded(Stamp {
                    hlc: collected,
                    op: OpId::default(),
                }),
                sequence: Sequence::ZERO,
            }),
            _ => None,
        }
    }
}

/// The outcome of a conditional op whose version is there although its run does not know it: the
/// run was forgotten, or the journal is lost and the database had records ahead of its state
/// record.
fn again(op: &Op, current: &Version<'_>) -> Outcome {
    let hlc = current.stamp().hlc;
    Outcome {
        sequence: current.sequence(),
        verdict: if hlc == op.hlc {
            Verdict::Accepted
        } else {
            Verdict::Restamped(hlc)
        },
    }
}

fn rejected(reason: RejectReason, message: String) -> Outcome {
    Outcome {
        verdict: Verdict::Rejected { reason, message },
        sequence: Sequence::ZERO,
    }
}

fn sequence_of(version: Option<&Version<'_>>) -> Sequence {
    version.map_or(Sequence::ZERO, Version::sequence)
}

/// The final time of an op, and whether it is another than the op came with.
///
/// An op that is stamped anew with this very millisecond comes after a version of it: the order in
/// which they arrive is all that is known, and may be that of one client's two runs.
fn final_hlc(
    draft: &mut Draft<'_>,
    proposal: &Proposal,
    current: Option<&Version<'_>>,
    now_ms: u64,
    rules: &Rules,
) -> (Hlc, bool) {
    let op = &proposal.op;
    match proposal.timing {
        Timing::Server => (Hlc::new(now_ms, 0).max(draft.clock().next()), false),
        Timing::Client { offset_ms } => {
            let last = draft.run(op.id.run, &proposal.principal).last_hlc;
            let admitted = admit(
                op.hlc,
                offset_ms,
                now_ms,
                rules.allowed_drift_ms,
                Some(last).filter(|last| *last != Hlc::ZERO),
            );
            let rival = current
                .map(|version| version.stamp().hlc)
                .filter(|rival| admitted.restamped && rival.millis() == now_ms)
                .filter(|rival| admitted.hlc.millis() == now_ms && *rival >= admitted.hlc);
            (rival.map_or(admitted.hlc, Hlc::next), admitted.restamped)
        }
    }
}

/// The version that `op` writes at `hlc`.
fn incoming(op: &Op, hlc: Hlc) -> Record {
    let (value, expires_at_ms) = match &op.action {
        Action::Put { value, ttl_ms } => (
            Some(value.clone()),
            ttl_ms.map(|ttl_ms| hlc.millis().saturating_add(ttl_ms).max(1)),
        ),
        Action::Remove => (None, None),
    };
    Record {
        key: op.key.clone(),
        value,
        stamp: Stamp { hlc, op: op.id },
        sequence: Sequence::ZERO,
        expires_at_ms,
    }
}

/// Weighs the incoming version against the current one.
fn merge(
    draft: &mut Draft<'_>,
    at: Located,
    incoming: Record,
    current: Option<&Version<'_>>,
    rules: &Rules,
    accepted: Verdict,
) -> Outcome {
    let resolution = match (current, &rules.resolver) {
        (None, _) => Resolution::TakeIncoming,
        (Some(current), None) => Resolution::latest(current.merge_order(&incoming)),
        (Some(current), Some(resolver)) => resolver.resolve(&current.record(), &incoming),
    };
    let record = match (resolution, current) {
        (Resolution::TakeIncoming, _) | (Resolution::Combine(_), None) => incoming,
        (Resolution::KeepCurrent, current) => return kept(&incoming, current, accepted),
        (Resolution::Combine(value), Some(current)) => {
            let later = if incoming.stamp > current.stamp() {
                incoming.clone()
            } else {
                current.record().into_owned()
            };
            let combined = Record { value, ..later };
            if current.merge_order(&combined).is_eq() {
                return kept(&incoming, Some(current), accepted);
            }
            combined
        }
    };
    Outcome {
        sequence: draft.write(at, record),
        verdict: accepted,
    }
}

/// The outcome of an op that changed nothing: superseded, unless it is the current version itself
/// (pushed again after its run was forgotten).
fn kept(incoming: &Record, current: Option<&Version<'_>>, accepted: Verdict) -> Outcome {
    let verdict = match current {
        Some(current) if !current.merge_order(incoming).is_eq() => {
            Verdict::Superseded(current.stamp())
        }
        _ => accepted,
    };
    Outcome {
        verdict,
        sequence: sequence_of(current),
    }
}
