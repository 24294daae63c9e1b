//! The service.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use grid_core::mutation::{Mutation, planted};
use grid_core::partition::{Applied, Decided, Effects, Outcome, Proposal, Rules};
use grid_core::traits::{Append, Journal, Position, Runtime};
use grid_core::{BoxFuture, Error, ErrorKind, PartitionId, Result};
use tower::Service;

use super::batch::{Committed, Early, PartResult, PartWork, Work, WorkBatch};
use super::reconcile::{fenced, reconcile};
use super::shard::{Owned, Shard};
use crate::write_behind::BacklogBound;

/// Decides a batch, makes its effects durable in one append, and applies them.
#[derive(Debug, Clone)]
pub(crate) struct PartitionService {
    shard: Arc<Shard>,
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
    rules: Rules,
    backlog: BacklogBound,
}

impl PartitionService {
    pub(crate) fn new(
        shard: Arc<Shard>,
        journal: Arc<dyn Journal>,
        runtime: Arc<dyn Runtime>,
        rules: Rules,
        backlog: BacklogBound,
    ) -> Self {
        Self {
            shard,
            journal,
            runtime,
            rules,
            backlog,
        }
    }

    async fn serve(self, batch: WorkBatch) -> Vec<PartResult> {
        let mut batch = batch;
        let late = self.reconcile(&mut batch).await;
        let early = batch.early.take();
        let (mut drafts, appends) = self.decide(batch);
        if let Some(early) = early {
            tell_early(early, &mut drafts);
        }
        if appends.is_empty() {
            return self.apply(drafts, late);
        }
        if planted(Mutation::StoreBeforeJournal) {
            note_written(&mut drafts, believed(&appends));
            let results = self.apply(drafts, late);
            let _written = self.append(appends).await;
            return results;
        }
        note_written(&mut drafts, self.append(appends).await);
        self.apply(drafts, late)
    }

    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Position>> {
        if !planted(Mutation::AckBeforeCommit) {
            return self.journal.append(appends).await;
        }
        let believed = believed(&appends);
        let journal = self.journal.clone();
        let late = async move {
            let _written = journal.append(appends).await;
        };
        self.runtime.spawn("late commit", Box::pin(late));
        believed
    }

    /// Settles what the journal holds of partitions where that is not known.
    async fn reconcile(&self, batch: &mut WorkBatch) -> BTreeMap<PartitionId, Committed> {
        let now = self.runtime.monotonic();
        let mut late = BTreeMap::new();
        for part in &mut batch.parts {
            let partition = part.partition;
            let is_unknown = |owned: &Owned| owned.unknown.is_some();
            if !self.shard.lock().get(&partition).is_some_and(is_unknown) {
                continue;
            }
            match reconcile(&self.shard, &self.journal, partition, now).await {
                Ok(None) => {}
                Ok(Some(committed)) => {
                    late.insert(partition, committed);
                    part.refusal.get_or_insert_with(|| unsettled(partition));
                }
                Err(error) => {
                    tracing::warn!(%partition, %error, "the journal's tail is not known yet");
                }
            }
        }
        late
    }

    fn decide(&self, batch: WorkBatch) -> (Vec<Draft>, Vec<Append>) {
        let now_ms = self.runtime.now_ms();
        let mut appends = Vec::new();
        let partitions = self.shard.lock();
        let mut drafts = Vec::with_capacity(batch.parts.len());
        for part in batch.parts {
            let partition = part.partition;
            let decided = partitions
                .get(&partition)
                .ok_or_else(|| not_here(partition))
                .and_then(|owned| {
                    let (decided, refused) = self.decide_part(owned, part, now_ms)?;
                    Ok((owned, decided, refused))
                });
            let mut draft = Draft {
                partition,
                batch: None,
                written: None,
                told_early: false,
                refused: None,
                decided: Err(not_here(partition)),
            };
            draft.decided = decided.map(|(owned, decided, refused)| {
                draft.refused = refused;
                if !decided.effects.is_empty() {
                    let batch = decided.effects.encode();
                    draft.batch = Some(batch.clone());
                    appends.push(Append {
                        partition,
                        epoch: owned.epoch,
                        tail: owned.tail,
                        batch,
                    });
                }
                decided
            });
            drafts.push(draft);
        }
        (drafts, appends)
    }

    /// What is decided, and why the ops among it are not, if they are not.
    fn decide_part(
        &self,
        owned: &Owned,
        part: PartWork,
        now_ms: u64,
    ) -> Result<(Decided, Option<Error>)> {
        if let Some(refusal) = part.refusal {
            return Err(refusal);
        }
        if owned.fenced {
            return Err(fenced(part.partition));
        }
        if owned.unknown.is_some() {
            return Err(unsettled(part.partition));
        }
        let Work::Decide { mut batch, .. } = part.work else {
            let stored = owned.backing.sequence();
            let effects = if owned.wants_epoch() {
                // It holds no records; what is due has its turn the next time.
                owned.partition.continue_epoch(now_ms)
            } else {
                owned.partition.housekeeping(now_ms, &self.rules, stored)
            };
            let outcomes = Vec::new();
            return Ok((Decided { effects, outcomes }, None));
        };
        let is_new = |one: &Proposal| !owned.partition.has_decided(one.op.id);
        let refused = self.backlog.check(owned).err();
        let refused = refused.filter(|_| batch.proposals.iter().any(is_new));
        if refused.is_some() {
            // What clients confirm, and runs that they release, add nothing to what waits.
            batch.proposals.clear();
        }
        Ok((owned.partition.decide(&batch, now_ms, &self.rules), refused))
    }

    fn apply(
        &self,
        drafts: Vec<Draft>,
        mut late: BTreeMap<PartitionId, Committed>,
    ) -> Vec<PartResult> {
        let now = self.runtime.monotonic();
        let mut partitions = self.shard.lock();
        drafts
            .into_iter()
            .map(|draft| {
                let (partition, told_early) = (draft.partition, draft.told_early);
                let (mut draft, mut late) = (draft, late.remove(&partition));
                let refused = draft.refused.take();
                let mut result = match partitions.get_mut(&partition) {
                    Some(owned) => draft.apply(owned, now),
                    None => Err(not_here(partition)),
                };
                if let Some(refusal) = refused {
                    late = late.or(result.ok());
                    result = Err(refusal);
                }
                PartResult {
                    partition,
                    late,
                    told_early,
                    result,
                }
            })
            .collect()
    }
}

pub(crate) fn not_here(partition: PartitionId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "decide",
        "this node does not hold the partition; connect again",
    )
    .with("partition", partition)
}

fn unsettled(partition: PartitionId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "journal",
        "the outcome of the last append was not known; try again",
    )
    .with("partition", partition)
}

fn note_written(drafts: &mut [Draft], written: Vec<Result<Position>>) {
    let journalled = drafts.iter_mut().filter(|draft| draft.batch.is_some());
    for (draft, written) in journalled.zip(written) {
        draft.written = Some(written);
    }
}

/// What a journal is expected to say.
fn believed(appends: &[Append]) -> Vec<Result<Position>> {
    let tails = appends.iter().map(|append| append.tail);
    tails.map(|tail| Ok(tail.next())).collect()
}

fn tell_early(mut early: Box<dyn Early>, drafts: &mut [Draft]) {
    for draft in drafts {
        if let Ok(decided) = &draft.decided
            && draft.refused.is_none()
        {
            early.decided(draft.partition, &decided.outcomes);
            draft.told_early = true;
        }
    }
}

/// A partition's work between deciding and applying.
struct Draft {
    partition: PartitionId,
    decided: Result<Decided>,
    told_early: bool,
    /// Why the ops are not decided, if the rest is.
    refused: Option<Error>,
    /// The journal batch; none when there is nothing to journal.
    batch: Option<Bytes>,
    /// What the journal said.
    written: Option<Result<Position>>,
}

impl Draft {
    fn apply(self, owned: &mut Owned, now: Duration) -> Result<Committed> {
        let Decided { effects, outcomes } = self.decided?;
        let Some(batch) = self.batch else {
            return Ok(unchanged(effects, outcomes));
        };
        let position = match self.written {
            Some(Ok(position)) => position,
            Some(Err(error)) => {
                if planted(Mutation::ApplyBeforeJournal) {
                    owned.partition.apply(&effects)?;
                }
                // Only these say for certain that nothing was written.
                if !matches!(error.kind(), ErrorKind::Full | ErrorKind::Overloaded) {
                    owned.unknown = Some(batch);
                }
                return Err(error);
            }
            None => {
                owned.unknown = Some(batch);
                return Err(Error::new(
                    ErrorKind::Internal,
                    "journal",
                    "the journal gave no answer about a batch",
                ));
            }
        };
        let applied = owned.partition.apply(&effects)?;
        owned.tail = position;
        let through = owned.partition.sequence();
        owned.backing.journalled(through, batch.len(), now);
        Ok(Committed {
            effects,
            applied,
            outcomes,
        })
    }
}

fn unchanged(effects: Effects, outcomes: Vec<Outcome>) -> Committed {
    Committed {
        effects,
        applied: Applied::default(),
        outcomes,
    }
}

impl Service<WorkBatch> for PartitionService {
    type Response = Vec<PartResult>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Vec<PartResult>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, batch: WorkBatch) -> Self::Future {
        let served = self.clone().serve(batch);
        Box::pin(async move { Ok(served.await) })
    }
}
