//! Gathering pushes into one batch, each partition's ops together.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::PartitionId;
use grid_core::op::{AckLevel, RunId};
use grid_core::partition::{Confirmation, Farewell, Partition, Proposal, ProposalBatch, Timing};
use grid_core::protocol::Stored;
use grid_core::traits::{Epoch, Principal};

use super::message::{Origin, PushWork, op_bytes};
use crate::config::AckLevels;
use crate::partition_service::{PartWork, Work, WorkBatch};
use crate::sessions::Session;

/// A batch in the making.
#[derive(Debug, Default)]
pub(super) struct Batch {
    parts: BTreeMap<PartitionId, Part>,
    pub(super) pushes: Vec<Pushed>,
    /// What is to be decided: ops, confirmations, farewells.
    pub(super) items: usize,
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
struct Part {
    batch: ProposalBatch,
    authors: Vec<Option<Arc<Principal>>>,
    /// Where each proposal came from.
    sources: Vec<Source>,
}

/// A push, without its ops.
#[derive(Debug)]
pub(super) struct Pushed {
    pub(super) origin: Origin,
    pub(super) run: RunId,
}

/// What an outcome is to be matched with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// The push that the op came with.
    pub(super) push: usize,
    /// The op's number.
    pub(super) number: u64,
    /// When the outcome is told.
    pub(super) level: AckLevel,
}

/// The sources of a batch's proposals, by partition.
pub(super) type Sources = BTreeMap<PartitionId, Vec<Source>>;

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn push(&mut self, push: PushWork, levels: &AckLevels) {
        let index = self.pushes.len();
        let (name, author, timing) = identity(&push.origin);
        for (partition, address, op, veto) in push.ops {
            self.items += 1;
            self.bytes += op_bytes(&op);
            let part = self.parts.entry(partition).or_default();
            part.sources.push(Source {
                push: index,
                number: op.id.number,
                level: op.ack.unwrap_or_else(|| levels.of(&op.map)),
            });
            part.batch.proposals.push(Proposal {
                principal: name.clone(),
                timing,
                address,
                op,
                veto,
            });
            part.authors.push(author.clone());
        }
        self.pushes.push(Pushed {
            origin: push.origin,
            run: push.run,
        });
    }

    pub(super) fn stored(&mut self, session: &Session, stored: Vec<Stored>) {
        self.items += stored.len();
        for each in stored {
            let part = self.parts.entry(each.partition).or_default();
            part.batch.stored.push(Confirmation {
                run: each.run,
                principal: session.principal_name(),
                through: each.through,
            });
        }
    }

    /// Takes the end of a run, for those `partitions` to which it is news: a device that is opened
    /// for moments tells of all its runs each time.
    pub(super) fn release<'a>(
        &mut self,
        session: &Session,
        run: RunId,
        partitions: impl Iterator<Item = &'a Partition>,
    ) {
        let principal = session.principal_name();
        for partition in partitions.filter(|each| each.may_release(run, &principal)) {
            self.items += 1;
            let part = self.parts.entry(partition.id()).or_default();
            part.batch.released.push(Farewell {
                run,
                principal: principal.clone(),
            });
        }
    }

    /// The work, and what its outcomes belong to.
    pub(super) fn split(
        self,
        epoch: impl Fn(PartitionId) -> Epoch,
    ) -> (WorkBatch, Sources, Vec<Pushed>) {
        let mut sources = Sources::new();
        let parts = self
            .parts
            .into_iter()
            .map(|(partition, part)| {
                sources.insert(partition, part.sources);
                PartWork {
                    partition,
                    epoch: epoch(partition),
                    work: Work::Decide {
                        batch: part.batch,
                        authors: part.authors,
                    },
                    refusal: None,
                }
            })
            .collect();
        let work = WorkBatch { parts, early: None };
        (work, sources, self.pushes)
    }
}

/// The principal's name, the principal where a policy has to be asked, and whose clock it is.
fn identity(origin: &Origin) -> (Arc<str>, Option<Arc<Principal>>, Timing) {
    match origin {
        Origin::Session(session) => (
            session.principal_name(),
            Some(session.shared_principal()),
            client_timing(session),
        ),
        Origin::Program { principal, .. } => (principal.name.as_str().into(), None, Timing::Server),
    }
}

fn client_timing(session: &Session) -> Timing {
    Timing::Client {
        offset_ms: session.offset_ms(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support;

    #[test]
    fn confirmations_and_farewells_fill_a_batch_as_ops_do() {
        let session = Session::for_tests();
        let mut batch = Batch::default();
        let stored = |run| Stored {
            run: RunId(run),
            partition: PartitionId(1),
            through: 5,
        };
        batch.stored(&session, vec![stored(1), stored(2)]);
        assert_eq!(batch.items, 2);
        let mut partitions: Vec<Partition> = (0..135).map(support::partition).collect();
        for partition in &mut partitions {
            support::commit(partition, [support::op(1)]);
        }
        batch.release(&session, support::RUN, partitions.iter());
        assert_eq!(batch.items, 137);
    }
}
