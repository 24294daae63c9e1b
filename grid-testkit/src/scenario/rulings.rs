//! What servers said of ops, and at which times ops stand: the one account of it, which the ledger
//! keeps, and which the history of the run is written from.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::op::{AckLevel, Op};
use grid_core::protocol::{Ack, Push, Verdict};
use grid_core::{Hlc, OpId, PartitionId, Stamp};

use super::backup::Remains;
use super::forgotten::Forgotten;
use crate::history::Outcome;

/// What servers said of ops.
#[derive(Debug, Default)]
pub(super) struct Rulings {
    said: BTreeMap<OpId, (Outcome, PartitionId)>,
    /// Ops whose verdict a server forgot.
    forgotten: Forgotten,
    /// Ops whose devices are told before the journal has them, which promises nothing.
    in_memory: BTreeSet<OpId>,
    /// Ops whose device had never seen their key.
    creations: BTreeSet<OpId>,
    /// The times of ops, as their devices pushed them or as a server stamped them anew.
    times: BTreeMap<OpId, Hlc>,
}

impl Rulings {
    /// Takes down what a device pushes, and of which ops it is told at which level.
    pub(super) fn pushed(&mut self, push: &Push, level: impl Fn(&Op) -> AckLevel) {
        for op in &push.ops {
            if level(op) == AckLevel::Memory {
                self.in_memory.insert(op.id);
            }
            if op.base == Hlc::ZERO {
                self.creations.insert(op.id);
            }
            self.times.entry(op.id).or_insert(op.hlc);
            self.forgotten.pushed(op.id);
        }
    }

    /// Takes down the verdicts that a server sends.
    pub(super) fn acked(&mut self, ack: &Ack) {
        let id = |number| OpId {
            run: ack.run,
            number,
        };
        for range in &ack.accepted {
            for number in range.first..range.first.saturating_add(range.count) {
                self.rule(id(number), &Verdict::Accepted, ack.partition);
            }
        }
        for exception in &ack.exceptions {
            self.rule(id(exception.number), &exception.verdict, ack.partition);
        }
    }

    fn rule(&mut self, op: OpId, verdict: &Verdict, partition: PartitionId) {
        if let Verdict::Restamped(hlc) = verdict {
            self.times.insert(op, *hlc);
        }
        if self.in_memory.contains(&op) || !self.forgotten.is_of_the_op(op) {
            return;
        }
        let outcome = match verdict {
            Verdict::Accepted | Verdict::Restamped(_) => Outcome::Acked {
                version: self.version(op),
            },
            Verdict::Superseded(by) => Outcome::Superseded {
                // The server may have forgotten what it lost against.
                by: Some(*by).filter(|by| by.op != OpId::default()),
            },
            Verdict::Rejected { reason, .. } => Outcome::rejected(reason),
        };
        self.said.insert(op, (outcome, partition));
    }

    /// A server was put back to a backup: of what it does not know any more nothing is certain, but
    /// that devices bring again what they still have pending.
    pub(super) fn put_back(&mut self, remains: &Remains) {
        let lost = |op: OpId, partition| !remains.has_decided(partition, op);
        let ops = self.said.extract_if(.., |op, (_, of)| lost(*op, *of));
        let ops: Vec<OpId> = ops.map(|(op, _)| op).collect();
        self.times.retain(|op, _| !ops.contains(op));
        self.forgotten.add(ops);
    }

    /// What a server said of an op, as far as it was not forgotten since.
    pub(super) fn of(&self, op: OpId) -> Option<&Outcome> {
        self.said.get(&op).map(|(outcome, _)| outcome)
    }

    /// Whether a server decided an op, and did not refuse it.
    pub(super) fn is_taken(&self, op: OpId) -> bool {
        let outcome = self.of(op);
        outcome.is_some_and(|outcome| !matches!(outcome, Outcome::Rejected { .. }))
    }

    /// The version that an op makes, if its time is known.
    pub(super) fn version(&self, op: OpId) -> Option<Stamp> {
        let hlc = *self.times.get(&op)?;
        Some(Stamp { hlc, op })
    }

    /// Whether the device of an op had never seen its key.
    pub(super) fn is_creation(&self, op: OpId) -> bool {
        self.creations.contains(&op)
    }

    /// Whether a server may not know any more how it ruled, because it was put back to a time
    /// before that, or told it at `memory`: then what the device was told is not what counts.
    pub(super) fn may_be_forgotten(&self, op: OpId) -> bool {
        self.in_memory.contains(&op) || self.forgotten.contains(op)
    }

    /// Whether the device of an op is told before the journal has it.
    pub(super) fn is_in_memory(&self, op: OpId) -> bool {
        self.in_memory.contains(&op)
    }
}
