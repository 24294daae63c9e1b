//! Sending what may be too long to be sent at once, piece by piece as the client takes it.

use std::collections::VecDeque;

use grid_core::codec::{fitting, record_bound};
use grid_core::limits::TARGET_FRAME_BYTES;
use grid_core::merkle::Answer;
use grid_core::partition::{Budget, CatchUp, Partition, Place, View};
use grid_core::protocol::{
    CaughtUp, DeltaMode, Message, RepairLeaves, RepairNodes, RepairStep, ViewId,
};
use grid_core::{History, Record, Result, Sequence};

use super::fan_out::DeltaHead;
use super::subscribers::{Job, Stream, Subscriber};
use crate::sessions::{Codecs, Encoded, Level, MergeId, Owed, goodbye};

/// How much of a stream is looked at for one frame.
const PIECE: Budget = Budget {
    records: 512,
    bytes: TARGET_FRAME_BYTES,
};

/// Pieces and answers that one subscriber gets before others have their turn: a client that takes
/// them as fast as they come must not keep a worker to itself.
pub(super) const PIECES_PER_TURN: usize = 16;

/// The partition of a view that a subscriber is told about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) worker: usize,
    pub(super) id: ViewId,
    pub(super) view: &'a View,
    pub(super) partition: &'a Partition,
    pub(super) codecs: &'a Codecs,
}

impl Scene<'_> {
    /// Starts to bring a new subscriber level, from where it says it stands; returns as
    /// [`Scene::run`] does.
    #[must_use]
    pub(super) fn welcome(
        &self,
        subscriber: &mut Subscriber,
        merge: MergeId,
        history: History,
        cursor: Option<Sequence>,
    ) -> bool {
        let now = self.partition.sequence();
        let level = Level {
            sequence: now,
            root: self.view.root(),
            reset: false,
            stated: false,
        };
        let (at, level) = match self.partition.catch_up(history, cursor) {
            CatchUp::Reset => (
                now,
                Level {
                    reset: true,
                    ..level
                },
            ),
            CatchUp::Changes(cursor) if self.has_nothing_after(cursor) => (
                cursor,
                Level {
                    stated: true,
                    ..level
                },
            ),
            CatchUp::Snapshot if self.is_empty() => (now, level),
            CatchUp::Changes(cursor) => {
                return self.begin(subscriber, merge, Stream::changes(cursor));
            }
            CatchUp::Snapshot => return self.begin(subscriber, merge, Stream::snapshot(now)),
        };
        self.level(subscriber, merge, at, level);
        false
    }

    fn begin(&self, subscriber: &mut Subscriber, merge: MergeId, stream: Stream) -> bool {
        let session = subscriber.session.clone();
        session.check(session.outgoing().streams(self.id, merge));
        subscriber.jobs.push_back(Job::Stream(stream));
        self.run(subscriber)
    }

    fn level(&self, subscriber: &mut Subscriber, merge: MergeId, cursor: Sequence, level: Level) {
        subscriber.cursor = cursor;
        let session = &subscriber.session;
        session.check(
            session
                .outgoing()
                .level(self.id, merge, self.partition.id(), level),
        );
    }

    fn is_empty(&self) -> bool {
        self.partition
            .digests(self.view.address(), self.view.selector())
            .next()
            .is_none()
    }

    fn has_nothing_after(&self, cursor: Sequence) -> bool {
        let one = Budget {
            records: 1,
            bytes: 1,
        };
        let changes = self.partition.changes(
            self.view.address(),
            self.view.selector(),
            cursor,
            Sequence::ZERO,
            one,
        );
        changes.records.is_empty()
    }

    /// Does what a subscriber waits for, as long as there is room in its queue; returns whether
    /// it is to go on once others have had their turn.
    #[must_use]
    pub(super) fn run(&self, subscriber: &mut Subscriber) -> bool {
        if subscriber.session.outgoing().has_ended() {
            subscriber.jobs.clear();
        }
        for _ in 0..PIECES_PER_TURN {
            if subscriber.jobs.is_empty() || !subscriber.session.outgoing().has_room(self.worker) {
                return false;
            }
            let Some(job) = subscriber.jobs.pop_front() else {
                return false;
            };
            let rest = match job {
                Job::Stream(stream) => self.stream(subscriber, stream),
                Job::Answer(step, owed) => self.answer(subscriber, &step, owed),
                Job::Fetch {
                    places,
                    begun,
                    owed,
                } => self.fetch(subscriber, places, begun, owed),
            };
            if let Some(job) = rest {
                subscriber.jobs.push_front(job);
            }
        }
        !subscriber.jobs.is_empty()
    }

    /// Sends a piece of a stream; returns what is left.
    fn stream(&self, subscriber: &mut Subscriber, mut stream: Stream) -> Option<Job> {
        let needed = if stream.snapshot {
            stream.tombstones_after
        } else {
            stream.at
        };
        if needed < self.partition.horizon() {
            // What it lacks may have been collected meanwhile.
            let reset = CaughtUp {
                view: self.id,
                history: self.partition.history(),
                cursor: vec![(self.partition.id(), self.partition.sequence())],
                root: self.view.root(),
                reset: true,
            };
            subscriber.cursor = self.partition.sequence();
            subscriber.session.answer(&Message::CaughtUp(reset));
            return None;
        }
        let mut changes = self.partition.changes(
            self.view.address(),
            self.view.selector(),
            stream.at,
            stream.tombstones_after,
            PIECE,
        );
        let count = fitting(changes.records.iter().map(record_bound));
        if count < changes.records.len() {
            changes.complete = false;
            changes.records.truncate(count);
            changes.through = changes.records[count - 1].sequence;
        }
        stream.at = changes.through;
        let head = DeltaHead {
            view: self.id,
            partition: self.partition.id(),
            mode: if stream.snapshot {
                DeltaMode::Snapshot
            } else {
                DeltaMode::Changes
            },
            from: stream.from,
            to: changes.through,
            root: self.view.root(),
        };
        let delta = head.delta(stream.begun, changes.complete, changes.records);
        self.send(subscriber, vec![delta]);
        stream.begun = true;
        if changes.complete {
            subscriber.cursor = changes.through;
            return None;
        }
        Some(Job::Stream(stream))
    }

    /// Answers a step of a comparison; returns what has to be sent instead, if it is too long.
    fn answer(&self, subscriber: &Subscriber, step: &RepairStep, owed: Owed) -> Option<Job> {
        match self.find(step) {
            Ok(Found::Messages(messages)) => {
                self.send(subscriber, messages);
                None
            }
            Ok(Found::Places(places)) => Some(Job::Fetch {
                places,
                begun: false,
                owed,
            }),
            Ok(Found::Stream(stream)) => Some(Job::Stream(stream)),
            Err(error) => {
                subscriber.session.outgoing().end(Some(&goodbye(&error)));
                None
            }
        }
    }

    fn find(&self, step: &RepairStep) -> Result<Found> {
        let (address, selector) = (self.view.address(), self.view.selector());
        let partition = self.partition;
        let (answer, level, parents) = match step {
            RepairStep::Nodes {
                bits,
                level,
                parents,
            } => {
                let answer = partition.repair_nodes(address, selector, *bits, *level, parents)?;
                (answer, *level, parents.as_slice())
            }
            RepairStep::Leaves { bits, leaves } => {
                let answer = partition.repair_leaves(address, selector, *bits, leaves)?;
                (answer, 0, &[][..])
            }
            RepairStep::Fetch { keys } => {
                let places = partition.find_hashes(address, selector, keys);
                return Ok(Found::Places(places.into()));
            }
            RepairStep::Snapshot => return Ok(self.snapshot()),
        };
        Ok(match answer {
            Answer::Nodes { bits, sums } => {
                let nodes = RepairNodes {
                    view: self.id,
                    partition: partition.id(),
                    bits,
                    level,
                    parents: parents.to_vec(),
                    sums,
                };
                Found::Messages(vec![Message::RepairNodes(nodes)])
            }
            Answer::Leaves(listings) => {
                let messages = listings.into_iter().map(|listing| {
                    Message::RepairLeaves(RepairLeaves {
                        view: self.id,
                        partition: partition.id(),
                        bits: listing.bits,
                        leaves: listing.leaves,
                        entries: listing.entries,
                    })
                });
                Found::Messages(messages.collect())
            }
            Answer::Snapshot => self.snapshot(),
        })
    }

    fn snapshot(&self) -> Found {
        Found::Stream(Stream::snapshot(self.partition.sequence()))
    }

    /// Sends some of the records that a comparison asked for; returns the rest. Those that changed
    /// since were sent as events.
    fn fetch(
        &self,
        subscriber: &Subscriber,
        mut places: VecDeque<Place>,
        begun: bool,
        owed: Owed,
    ) -> Option<Job> {
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        while let Some(place) = places.front() {
            if let Some(record) = self.partition.record_at(self.view.address(), *place) {
                let bound = record_bound(&record);
                let full = bytes + bound > PIECE.bytes || records.len() >= PIECE.records;
                if full && !records.is_empty() {
                    break;
                }
                bytes += bound;
                records.push(record);
            }
            places.pop_front();
        }
        let last = places.is_empty();
        let head = DeltaHead {
            mode: DeltaMode::Repair,
            ..DeltaHead::empty(self.id, self.partition, self.view)
        };
        self.send(subscriber, vec![head.delta(begun, last, records)]);
        (!last).then_some(Job::Fetch {
            places,
            begun: true,
            owed,
        })
    }

    fn send(&self, subscriber: &Subscriber, messages: Vec<Message>) {
        let session = &subscriber.session;
        let frames = Encoded::new(self.codecs, messages).frames(session.codec());
        let (view, partition) = (self.id, self.partition.id());
        session.check(frames.and_then(|frames| session.outgoing().piece(view, partition, &frames)));
    }
}

/// What a step of a comparison leads to.
enum Found {
    Messages(Vec<Message>),
    Places(VecDeque<Place>),
    Stream(Stream),
}
