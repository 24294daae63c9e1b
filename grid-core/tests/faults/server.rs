//! A server without I/O: partitions behind the simplest gateway that keeps the protocol. What it
//! gets wrong by itself it says by a panic.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use grid_core::address::Placement;
use grid_core::op::Op;
use grid_core::partition::{
    Confirmation, Farewell, Partition, PartitionConfig, Proposal, ProposalBatch, Rules, TableSeed,
    Timing, Veto, View,
};
use grid_core::protocol::{
    Ack, CaughtUp, Deferred, Exception, MapDefinition, Message, NumberRange, Push, RejectReason,
    Selector, Verdict, ViewId, Welcome,
};
use grid_core::{
    DigestKey, History, MapAddress, MapName, Namespace, PartitionId, Record, RunId, Sequence,
};

/// Ops on keys that start so are forbidden.
pub(crate) const FORBIDDEN: &str = "no/";
const PRINCIPAL: &str = "somebody";
pub(crate) const HEARTBEAT_MS: u32 = 10_000;
pub(crate) const RETRY_AFTER_MS: u32 = 500;

/// What the server keeps of one connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) out: VecDeque<Message>,
    offset_ms: i64,
    /// The last number that came of each run.
    previous: BTreeMap<RunId, u64>,
    /// Runs of which pushes are refused until the client resumes.
    refusing: BTreeSet<RunId>,
    /// The views, and up to where each partition of them was told.
    pub(crate) views: BTreeMap<ViewId, Vec<Followed>>,
    /// Words that partitions are level, which wait for those of the others.
    pub(crate) held: Vec<CaughtUp>,
}

/// One partition of a view.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) partition: usize,
    pub(crate) view: View,
    pub(crate) told: Sequence,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) history: History,
    pub(crate) digest_key: DigestKey,
    pub(crate) spread: u16,
    pub(crate) now_ms: u64,
    pub(crate) rules: Rules,
    pub(crate) push_window: u32,
    /// Most records in one delta.
    pub(crate) piece: usize,
    /// Whether events go out before the acks of the same batch.
    pub(crate) events_first: bool,
    /// Whether partitions that are level say so late.
    pub(crate) hold_levels: bool,
    /// After so many more ops the server says "not now", once.
    pub(crate) defer_after: Option<usize>,
    /// How many records went out.
    pub(crate) records_sent: usize,
    pub(crate) sessions: BTreeMap<usize, Session>,
    view_ids: BTreeMap<(MapAddress, Selector), ViewId>,
}

pub(crate) fn address(map: &MapName) -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: map.clone(),
    }
}

impl Server {
    pub(crate) fn new(partitions: u16, spread: u16, now_ms: u64) -> Self {
        let mut server = Self {
            partitions: Vec::new(),
            history: History(1),
            digest_key: DigestKey(77),
            spread,
            now_ms,
            rules: Rules::default(),
            push_window: 1_000,
            piece: 3,
            events_first: false,
            hold_levels: false,
            defer_after: None,
            records_sent: 0,
            sessions: BTreeMap::new(),
            view_ids: BTreeMap::new(),
        };
        server.partitions = (0..partitions).map(|id| server.empty(id)).collect();
        server
    }

    fn empty(&self, id: u16) -> Partition {
        Partition::new(PartitionConfig {
            id: PartitionId(id),
            history: self.history,
            digest_key: self.digest_key,
            seed: TableSeed(1, u64::from(id)),
        })
    }

    /// Goes on in another history with what is there, renumbered: as after a lost journal.
    pub(crate) fn begin_history(&mut self) {
        self.sessions.clear();
        self.history = History(self.history.0 + 1);
        let count = u16::try_from(self.partitions.len()).unwrap();
        let fresh = (0..count).map(|id| self.empty(id)).collect();
        let old = std::mem::replace(&mut self.partitions, fresh);
        for (partition, old) in self.partitions.iter_mut().zip(old) {
            let mut proposals: Vec<Proposal> = old
                .maps()
                .flat_map(|map| {
                    let everything = grid_core::partition::Budget {
                        records: usize::MAX,
                        bytes: usize::MAX,
                    };
                    let zero = Sequence::ZERO;
                    let all = old.changes(map, &Selector::All, zero, zero, everything);
                    all.records.into_iter().map(|record| again(map, record))
                })
                .collect();
            proposals.sort_by_key(|proposal| proposal.op.id);
            let batch = ProposalBatch {
                proposals,
                ..ProposalBatch::default()
            };
            let decided = partition.decide(&batch, self.now_ms, &self.rules);
            partition.apply(&decided.effects).unwrap();
        }
    }

    pub(crate) fn placement(&self, map: &MapName) -> Placement {
        let count = u16::try_from(self.partitions.len()).unwrap();
        Placement::new(&address(map), self.spread, count)
    }

    pub(crate) fn view_id(&mut self, map: &MapName, selector: &Selector) -> ViewId {
        let next = ViewId(self.view_ids.len() as u64 + 1);
        let name = (address(map), selector.clone());
        *self.view_ids.entry(name).or_insert(next)
    }

    pub(crate) fn session(&mut self, of: usize) -> &mut Session {
        self.sessions.get_mut(&of).unwrap()
    }

    pub(crate) fn send(&mut self, to: usize, message: Message) {
        if let Message::Delta(delta) = &message {
            self.records_sent += delta.records.len();
        }
        self.session(to).out.push_back(message);
    }

    /// Takes one message of the client `from`; false when it ends the connection.
    pub(crate) fn receive(&mut self, from: usize, message: Message) -> bool {
        if let Message::Hello(hello) = &message {
            let session = Session {
                offset_ms: hello.now_ms.cast_signed() - self.now_ms.cast_signed(),
                ..Session::default()
            };
            self.sessions.insert(from, session);
            let welcome = self.welcome();
            self.send(from, Message::Welcome(welcome));
            return true;
        }
        match message {
            Message::Push(push) => return self.on_push(from, push),
            Message::Ping(_) => self.send(from, Message::Pong(0)),
            Message::Subscribe(subscribe) => self.on_subscribe(from, &subscribe),
            Message::Unsubscribe(view) => {
                self.session(from).views.remove(&view);
            }
            Message::Repair(repair) => self.on_repair(from, repair),
            Message::Stored(reports) => {
                for report in reports {
                    let confirmation = Confirmation {
                        run: report.run,
                        principal: PRINCIPAL.into(),
                        through: report.through,
                    };
                    let batch = ProposalBatch {
                        stored: vec![confirmation],
                        ..ProposalBatch::default()
                    };
                    self.decide(usize::from(report.partition.0), &batch, None);
                }
            }
            Message::Release(run) => {
                for partition in 0..self.partitions.len() {
                    let farewell = Farewell {
                        run,
                        principal: PRINCIPAL.into(),
                    };
                    let batch = ProposalBatch {
                        released: vec![farewell],
                        ..ProposalBatch::default()
                    };
                    self.decide(partition, &batch, None);
                }
            }
            other => panic!("a client does not send {other:?}"),
        }
        true
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            version: 1,
            codec: "cbor".to_owned(),
            now_ms: self.now_ms,
            history: self.history,
            partition_count: u16::try_from(self.partitions.len()).unwrap(),
            digest_key: self.digest_key.0,
            max_value_bytes: 1024,
            push_window: self.push_window,
            heartbeat_ms: HEARTBEAT_MS,
        }
    }

    pub(crate) fn definition(&self) -> MapDefinition {
        MapDefinition {
            spread: self.spread,
            schema: 0,
        }
    }

    fn on_push(&mut self, from: usize, push: Push) -> bool {
        let session = self.session(from);
        let last = push.ops.last().unwrap().id.number;
        let known = session.previous.insert(push.run, last).unwrap_or(0);
        if push.resume {
            session.refusing.remove(&push.run);
        } else if push.previous != known {
            return false;
        }
        if session.refusing.contains(&push.run) {
            return true;
        }
        let (taken, refused) = self.share(push.ops);
        self.take_ops(from, push.run, taken);
        if let Some(first) = refused {
            self.session(from).refusing.insert(push.run);
            let deferred = Deferred {
                run: push.run,
                from: first,
                message: "not now".to_owned(),
                retry_after_ms: RETRY_AFTER_MS,
            };
            self.send(from, Message::Deferred(deferred));
        }
        true
    }

    /// The ops that are taken, and the number of the first that is not: the partition of that one
    /// takes none from there on, while others do.
    fn share(&mut self, ops: Vec<Op>) -> (Vec<Op>, Option<u64>) {
        let Some(left) = self.defer_after else {
            return (ops, None);
        };
        let Some(first) = ops.get(left) else {
            self.defer_after = Some(left - ops.len());
            return (ops, None);
        };
        self.defer_after = None;
        let (number, refusing) = (first.id.number, self.partition_of(first));
        let taken = ops.into_iter();
        let taken = taken.filter(|op| op.id.number < number || self.partition_of(op) != refusing);
        (taken.collect(), Some(number))
    }

    fn partition_of(&self, op: &Op) -> PartitionId {
        self.placement(&op.map).partition(&op.key)
    }

    fn take_ops(&mut self, from: usize, run: RunId, ops: Vec<Op>) {
        let offset_ms = self.session(from).offset_ms;
        let mut by_partition: BTreeMap<usize, Vec<Proposal>> = BTreeMap::new();
        for op in ops {
            let partition = self.partition_of(&op);
            let forbidden = op.key.as_str().starts_with(FORBIDDEN);
            let veto = forbidden.then(|| Veto {
                reason: RejectReason::Forbidden,
                message: "no".to_owned(),
            });
            let proposals = by_partition.entry(partition.0.into()).or_default();
            proposals.push(Proposal {
                principal: PRINCIPAL.into(),
                timing: Timing::Client { offset_ms },
                address: address(&op.map),
                op,
                veto,
            });
        }
        for (partition, proposals) in by_partition {
            let batch = ProposalBatch {
                proposals,
                ..ProposalBatch::default()
            };
            self.decide(partition, &batch, Some((from, run)));
        }
    }

    /// Decides and applies a batch, and tells whom it concerns.
    fn decide(&mut self, at: usize, batch: &ProposalBatch, pusher: Option<(usize, RunId)>) {
        let partition = &mut self.partitions[at];
        let decided = partition.decide(batch, self.now_ms, &self.rules);
        let applied = partition.apply(&decided.effects).unwrap();
        let Some((from, run)) = pusher else {
            self.tell_events(at, &decided.effects, &applied);
            return;
        };
        let mut ack = Ack {
            run,
            partition: PartitionId(u16::try_from(at).unwrap()),
            sequence: Sequence::ZERO,
            accepted: Vec::new(),
            exceptions: Vec::new(),
            window: None,
        };
        for (proposal, outcome) in batch.proposals.iter().zip(decided.outcomes) {
            let number = proposal.op.id.number;
            ack.sequence = ack.sequence.max(outcome.sequence);
            match outcome.verdict {
                Verdict::Accepted => ack.accepted.push(NumberRange {
                    first: number,
                    count: 1,
                }),
                verdict => ack.exceptions.push(Exception { number, verdict }),
            }
        }
        let reached = ack.sequence;
        if self.events_first {
            self.tell_events(at, &decided.effects, &applied);
            self.send(from, Message::Ack(ack));
        } else {
            self.send(from, Message::Ack(ack));
            self.tell_events(at, &decided.effects, &applied);
        }
        self.tell_reached(from, at, reached);
    }

    /// What time brings.
    pub(crate) fn keep_house(&mut self) {
        for at in 0..self.partitions.len() {
            let effects = self.partitions[at].housekeeping(
                self.now_ms,
                &self.rules,
                self.partitions[at].sequence(),
            );
            let applied = self.partitions[at].apply(&effects).unwrap();
            self.tell_events(at, &effects, &applied);
        }
    }
}

/// The op that writes `record` once more.
fn again(map: &MapAddress, record: Record) -> Proposal {
    use grid_core::Hlc;
    use grid_core::op::Action;
    let action = match record.value {
        Some(value) => Action::Put {
            value,
            ttl_ms: None,
        },
        None => Action::Remove,
    };
    Proposal {
        principal: PRINCIPAL.into(),
        timing: Timing::Client { offset_ms: 0 },
        address: map.clone(),
        op: Op {
            id: record.stamp.op,
            hlc: record.stamp.hlc,
            map: map.map.clone(),
            key: record.key,
            action,
            base: Hlc::ZERO,
            if_version: None,
            schema: 0,
            ack: None,
        },
        veto: None,
    }
}
