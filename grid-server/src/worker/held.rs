//! What is told only once the system of record has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grid_core::op::RunId;
use grid_core::partition::Outcome;
use grid_core::{PartitionId, Result, Sequence};
use tokio::sync::oneshot;

use crate::sessions::{Session, SessionId};

/// Who is told.
#[derive(Debug)]
pub(super) enum Recipient {
    Session(Arc<Session>, RunId),
    Program(oneshot::Sender<Result<Outcome>>),
}

/// An outcome, and who is told.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) to: Recipient,
    /// The op's number.
    pub(super) number: u64,
    pub(super) outcome: Outcome,
}

impl Telling {
    /// The op of a client that it is about.
    fn op(&self, partition: PartitionId) -> Option<(PartitionId, SessionId, RunId, u64)> {
        match &self.to {
            Recipient::Session(session, run) => Some((partition, session.id(), *run, self.number)),
            Recipient::Program(_) => None,
        }
    }
}

/// What is told once the system of record has reached its sequence. It is bounded as the ops are
/// that clients may have without an answer.
#[derive(Debug, Default)]
pub(super) struct Held {
    partitions: BTreeMap<PartitionId, BTreeMap<Sequence, Vec<Telling>>>,
    /// Ops of clients of which something is held.
    ops: BTreeSet<(PartitionId, SessionId, RunId, u64)>,
}

impl Held {
    /// Adds what is to be told; false when that of the same op is held already, because a client
    /// pushes again what it pushed with ops that were put off.
    pub(super) fn add(&mut self, partition: PartitionId, telling: Telling) -> bool {
        if let Some(op) = telling.op(partition)
            && !self.ops.insert(op)
        {
            return false;
        }
        let held = self.partitions.entry(partition).or_default();
        let sequence = telling.outcome.sequence;
        held.entry(sequence).or_default().push(telling);
        true
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The partitions of which something is held.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.keys().copied().collect()
    }

    /// Takes out what is stored, in the order of its sequences.
    pub(super) fn take(&mut self, partition: PartitionId, stored: Sequence) -> Vec<Telling> {
        let Some(held) = self.partitions.get_mut(&partition) else {
            return Vec::new();
        };
        let later = held.split_off(&stored.next());
        let ready = std::mem::replace(held, later);
        if held.is_empty() {
            self.partitions.remove(&partition);
        }
        self.let_go(partition, ready)
    }

    /// Takes out all of a partition.
    pub(super) fn forget(&mut self, partition: PartitionId) -> Vec<Telling> {
        let held = self.partitions.remove(&partition).unwrap_or_default();
        self.let_go(partition, held)
    }

    fn let_go(
        &mut self,
        partition: PartitionId,
        held: BTreeMap<Sequence, Vec<Telling>>,
    ) -> Vec<Telling> {
        let tellings: Vec<Telling> = held.into_values().flatten().collect();
        for op in tellings.iter().filter_map(|one| one.op(partition)) {
            self.ops.remove(&op);
        }
        tellings
    }

    /// Lets go of what a connection that is gone was to be told.
    pub(super) fn leave(&mut self, session: SessionId) {
        let stays = |telling: &Telling| match &telling.to {
            Recipient::Session(of, _) => of.id() != session,
            Recipient::Program(_) => true,
        };
        self.ops.retain(|(_, of, ..)| *of != session);
        self.partitions.retain(|_, held| {
            held.retain(|_, tellings| {
                tellings.retain(stays);
                !tellings.is_empty()
            });
            !held.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use grid_core::protocol::Verdict;

    use super::*;

    fn telling(session: &Arc<Session>, number: u64, sequence: u64) -> Telling {
        Telling {
            to: Recipient::Session(session.clone(), RunId(7)),
            number,
            outcome: Outcome {
                verdict: Verdict::Accepted,
                sequence: Sequence(sequence),
            },
        }
    }

    #[test]
    fn what_is_stored_comes_out_in_order_and_what_is_later_stays() {
        let session = Session::for_tests();
        let mut held = Held::default();
        for (number, sequence) in [(4, 9), (1, 5), (2, 5), (3, 6)] {
            held.add(PartitionId(1), telling(&session, number, sequence));
        }
        let numbers =
            |tellings: Vec<Telling>| tellings.iter().map(|t| t.number).collect::<Vec<_>>();
        assert!(held.take(PartitionId(2), Sequence(99)).is_empty());
        assert_eq!(numbers(held.take(PartitionId(1), Sequence(6))), [1, 2, 3]);
        assert_eq!(held.partitions(), [PartitionId(1)]);
        assert_eq!(numbers(held.take(PartitionId(1), Sequence(9))), [4]);
        assert!(held.partitions().is_empty());
    }

    #[test]
    fn an_op_that_is_pushed_again_is_told_once() {
        let session = Session::for_tests();
        let mut held = Held::default();
        assert!(held.add(PartitionId(1), telling(&session, 1, 5)));
        assert!(!held.add(PartitionId(1), telling(&session, 1, 6)));
        assert!(held.add(PartitionId(1), telling(&session, 2, 6)));
        assert!(held.add(PartitionId(2), telling(&session, 1, 6)));
        assert_eq!(held.take(PartitionId(1), Sequence(5)).len(), 1);
        assert!(held.add(PartitionId(1), telling(&session, 1, 6)), "again");
        assert_eq!(held.forget(PartitionId(1)).len(), 2);
        assert!(held.add(PartitionId(1), telling(&session, 2, 7)), "again");
    }

    #[test]
    fn who_is_gone_is_forgotten_alone() {
        let (gone, other) = (Session::for_tests(), Session::for_tests());
        assert_ne!(gone.id(), other.id());
        let mut held = Held::default();
        held.add(PartitionId(1), telling(&gone, 1, 5));
        held.add(PartitionId(1), telling(&other, 2, 5));
        held.add(PartitionId(2), telling(&gone, 3, 5));
        held.leave(gone.id());
        assert!(held.add(PartitionId(1), telling(&gone, 1, 5)), "it is back");
        held.leave(gone.id());
        assert_eq!(held.partitions(), [PartitionId(1)]);
        assert_eq!(held.forget(PartitionId(1)).len(), 1);
    }
}
