//! What a worker tells after a commit: events, acks, refusals.

use std::sync::Arc;

use grid_core::mutation::{Mutation, planted};
use grid_core::op::{AckLevel, RunId};
use grid_core::partition::Outcome;
use grid_core::protocol::{Ack, Message, Verdict};
use grid_core::{Error, ErrorKind, PartitionId, Sequence};

use super::acks::{Acks, Deferrals, send_ack, session_of};
use super::batch::{Pushed, Source, Sources};
use super::fan_out::{DeltaHead, send};
use super::held::{Recipient, Telling};
use super::message::Origin;
use super::subscribers::Followed;
use super::task::Worker;
use crate::observations::{OpCounts, Source as Seen, named};
use crate::partition_service::{PartResult, fenced};
use crate::sessions::{Encoded, Session};
use crate::write_behind::{BacklogBound, Room, gathered_enough};

impl Worker {
    /// Tells those who pushed what became of it; subscribers were told already.
    pub(super) fn tell(
        &mut self,
        results: Vec<PartResult>,
        sources: &Sources,
        mut pushes: Vec<Pushed>,
    ) {
        let mut deferrals = Deferrals::default();
        let mut backlog = false;
        let mut taken = false;
        let mut refused = None;
        let settled = results.iter().all(|part| part.result.is_ok());
        for part in results {
            let sources = sources.get(&part.partition).map_or(&[][..], Vec::as_slice);
            match part.result {
                Ok(committed) => {
                    backlog |= self.has_backlog(part.partition);
                    taken |= !sources.is_empty();
                    self.acknowledge(part.partition, committed.outcomes, sources, &mut pushes);
                }
                Err(error) => {
                    let (kind, count) = (error.kind(), sources.len() as u64);
                    let observations = &self.context.observations;
                    observations.count(|counts| counts.add_deferred(kind, count));
                    defer(
                        &error,
                        sources,
                        part.told_early,
                        &mut pushes,
                        &mut deferrals,
                    );
                    if error.kind() == ErrorKind::Overloaded {
                        self.slow_down(part.partition, sources, &pushes);
                    }
                    refused = refused.or((!sources.is_empty()).then_some(error));
                }
            }
        }
        self.note(taken, refused.as_ref());
        self.put_off(deferrals);
        if !settled {
            self.give_up_fenced();
        }
        if backlog {
            self.context.flush.notify_one();
        }
    }

    /// Logs when ops begin to be put off, and when they are taken again: clients try for as long as
    /// it lasts, and a full disk may hold the log too.
    fn note(&mut self, taken: bool, refused: Option<&Error>) {
        let worker = self.context.number;
        let observations = &self.context.observations;
        if let Some(error) = refused {
            let now = self.context.runtime.monotonic();
            observations.trouble(Seen::Ops(worker), error.to_string(), now);
        }
        match refused {
            Some(error) if !self.puts_off => {
                tracing::warn!(worker, %error, "ops are put off until it is mended");
                self.puts_off = true;
            }
            None if taken && self.puts_off => {
                tracing::info!(worker, "ops are taken again");
                observations.mended(Seen::Ops(worker));
                self.puts_off = false;
            }
            _ => {}
        }
    }

    /// Tells clients from where on to push again.
    pub(super) fn put_off(&mut self, deferrals: Deferrals) {
        let retry_after_ms = self.context.settings.retry_after_ms;
        for (session, run, from) in deferrals.tell(retry_after_ms) {
            self.subscribers.lock().refuse(session, run, from);
        }
    }

    /// Whether enough has gathered to be written to the database now.
    fn has_backlog(&self, partition: PartitionId) -> bool {
        let partitions = self.context.shard.lock();
        let owned = partitions.get(&partition);
        owned.is_some_and(|owned| gathered_enough(&self.context.settings, owned))
    }

    /// Tells who pushed what became of their ops, or holds that back until it is stored.
    fn acknowledge(
        &mut self,
        partition: PartitionId,
        outcomes: Vec<Outcome>,
        sources: &[Source],
        pushes: &mut [Pushed],
    ) {
        let mut counted = OpCounts::new();
        for outcome in &outcomes {
            *counted.entry(named(&outcome.verdict)).or_default() += 1;
        }
        let observations = &self.context.observations;
        observations.count(|counts| counts.add_ops(&counted));
        let mut acks = Acks::default();
        let mut told_early = Acks::default();
        let mut held = false;
        for (source, outcome) in sources.iter().zip(outcomes) {
            let pushed = &mut pushes[source.push];
            let to = match &mut pushed.origin {
                Origin::Session(session) if source.level == AckLevel::Memory => {
                    told_early.add(session, pushed.run, partition, source.number, outcome);
                    continue;
                }
                Origin::Session(session) => Recipient::Session(session.clone(), pushed.run),
                Origin::Program { reply, .. } => match reply.take() {
                    Some(reply) => Recipient::Program(reply),
                    None => continue,
                },
            };
            let telling = Telling {
                to,
                number: source.number,
                outcome,
            };
            if source.level == AckLevel::Stored && self.has_to_be_stored(partition, &telling) {
                held = true;
                if !self.held.add(partition, telling)
                    && let Some(session) = session_of(pushed)
                {
                    session.ops_answered(1);
                }
            } else {
                acks.tell(partition, telling);
            }
        }
        for (session, ack) in told_early.finish() {
            self.bring_level(&session, &ack);
        }
        self.send_acks(acks);
        if held {
            self.hurry(partition);
        }
    }

    /// Whether what is to be told is of a version that the database does not have yet.
    fn has_to_be_stored(&self, partition: PartitionId, telling: &Telling) -> bool {
        let is_rejected = matches!(telling.outcome.verdict, Verdict::Rejected { .. });
        let partitions = self.context.shard.lock();
        let owned = partitions.get(&partition);
        !is_rejected
            && !planted(Mutation::AckBeforeStored)
            && owned.is_some_and(|owned| owned.backing.sequence() < telling.outcome.sequence)
    }

    /// Has a partition stored without waiting for more.
    fn hurry(&self, partition: PartitionId) {
        if let Some(owned) = self.context.shard.lock().get_mut(&partition) {
            owned.backing.hurry(owned.partition.sequence());
        }
        self.context.flush.notify_one();
    }

    /// Tells what was held back and is stored by now.
    pub(super) fn tell_stored(&mut self) {
        for partition in self.held.partitions() {
            let stored = {
                let partitions = self.context.shard.lock();
                partitions
                    .get(&partition)
                    .map(|owned| owned.backing.sequence())
            };
            let ready = self.held.take(partition, stored.unwrap_or_default());
            let mut acks = Acks::default();
            for telling in ready {
                acks.tell(partition, telling);
            }
            self.send_acks(acks);
        }
        self.reopen();
    }

    /// Has what was held back pushed again to the partition's next owner.
    pub(super) fn give_up_held(&mut self, partition: PartitionId) {
        let mut deferrals = Deferrals::default();
        let error = fenced(partition);
        for telling in self.held.forget(partition) {
            match telling.to {
                Recipient::Session(session, run) => {
                    session.ops_answered(1);
                    deferrals.add(&session, run, telling.number, error.message());
                }
                Recipient::Program(reply) => {
                    // Nobody listening means that the caller lost interest.
                    let _ = reply.send(Err(fenced(partition)));
                }
            }
        }
        self.put_off(deferrals);
    }

    fn send_acks(&mut self, acks: Acks) {
        for (session, mut ack) in acks.finish() {
            self.bring_level(&session, &ack);
            ack.window = self.window(ack.partition, &session, ack.run);
            send_ack(&session, ack);
        }
    }

    /// The window of a connection, if it is another one than before.
    fn window(
        &mut self,
        partition: PartitionId,
        session: &Arc<Session>,
        run: RunId,
    ) -> Option<u32> {
        let room = self.room(partition)?;
        let full = self.context.settings.push_window;
        self.credit.grant(partition, (session, run), room, full)
    }

    fn room(&self, partition: PartitionId) -> Option<Room> {
        let bound = BacklogBound::new(&self.context.settings);
        let partitions = self.context.shard.lock();
        partitions.get(&partition).map(|owned| bound.room(owned))
    }

    /// Names a window to those whose ops are not taken.
    fn slow_down(&mut self, partition: PartitionId, sources: &[Source], pushes: &[Pushed]) {
        for source in sources {
            let pushed = &pushes[source.push];
            if let Some(session) = session_of(pushed)
                && let Some(window) = self.window(partition, session, pushed.run)
            {
                tell_window(session, pushed.run, partition, window);
            }
        }
    }

    /// Names larger windows to those who wait for the database.
    fn reopen(&mut self) {
        for partition in self.credit.partitions() {
            let Some(room) = self.room(partition) else {
                continue;
            };
            let full = self.context.settings.push_window;
            for telling in self.credit.reopen(partition, room, full) {
                tell_window(&telling.session, telling.run, partition, telling.window);
            }
        }
    }

    /// Nobody has to wait for the sake of a partition that is not run here any more.
    pub(super) fn give_up_credit(&mut self, partition: PartitionId) {
        let full = self.context.settings.push_window;
        for telling in self.credit.forget(partition, full) {
            tell_window(&telling.session, telling.run, partition, telling.window);
        }
    }

    /// Sends an empty delta to views of a connection that would not reach the ack's sequence by an
    /// event: those of a duplicate or a write that lost, and those that do not hold the key.
    fn bring_level(&mut self, session: &Arc<Session>, ack: &Ack) {
        let partitions = self.context.shard.lock();
        let Some(owned) = partitions.get(&ack.partition) else {
            return;
        };
        let mut subscribers = self.subscribers.lock();
        for id in subscribers.followed_in(session.id(), ack.partition) {
            let followed = subscribers.get(ack.partition, id);
            let Some(Followed { view, subscribers }) = followed else {
                continue;
            };
            let Some(subscriber) = subscribers.get_mut(&session.id()) else {
                continue;
            };
            if subscriber.cursor >= ack.sequence || !subscriber.is_live() {
                continue;
            }
            let head = DeltaHead::empty(id, &owned.partition, view);
            let delta = head.delta(false, true, Vec::new());
            let frames = Encoded::new(&self.context.codecs, vec![delta]).frames(session.codec());
            if send(self.context.number, session, id, ack.partition, frames) {
                subscriber.cursor = owned.partition.sequence();
            } else {
                subscriber.fall_behind();
            }
        }
    }
}

/// Names a window in an ack without verdicts.
fn tell_window(session: &Session, run: RunId, partition: PartitionId, window: u32) {
    session.answer(&Message::Ack(Ack {
        run,
        partition,
        sequence: Sequence::ZERO,
        accepted: Vec::new(),
        exceptions: Vec::new(),
        window: Some(window),
    }));
}

/// Takes note of what has to be pushed again.
fn defer(
    error: &Error,
    sources: &[Source],
    told_early: bool,
    pushes: &mut [Pushed],
    deferrals: &mut Deferrals,
) {
    for source in sources {
        let pushed = &mut pushes[source.push];
        if let Some(session) = session_of(pushed) {
            // Who was told already may still have it, and would wait for what never comes.
            if !(told_early && source.level == AckLevel::Memory) {
                session.ops_answered(1);
            }
            deferrals.add(session, pushed.run, source.number, error.message());
        } else if let Origin::Program { reply, .. } = &mut pushed.origin
            && let Some(reply) = reply.take()
        {
            let put_off = Error::new(error.kind(), "write", error.message()).with_retryable(true);
            // Nobody listening means that the caller lost interest.
            let _ = reply.send(Err(put_off));
        }
    }
}
