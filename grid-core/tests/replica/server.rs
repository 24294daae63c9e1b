//! A server of one thread around real partitions: it answers messages, and keeps events and acks
//! of each connection in two queues, so that a test can deliver them in any order between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use grid_core::address::Placement;
use grid_core::op::{Action, Op};
use grid_core::partition::{
    Confirmation, Partition, PartitionConfig, Proposal, ProposalBatch, Rules, TableSeed, Timing,
    Veto, View,
};
use grid_core::protocol::{
    Ack, CaughtUp, Deferred, DeltaMode, Exception, MapDefinition, Message, NumberRange, Push,
    RejectReason, RepairStep, Selector, Stored, Subscribe, SubscribeRefused, Subscribed, Verdict,
    ViewId, Welcome,
};
use grid_core::{
    DigestKey, History, Hlc, Key, MapAddress, MapName, Namespace, OpId, PartitionId, Record, RunId,
    Stamp,
};

use crate::answers::{EVERYTHING, Head, answered, catch_up, snapshot};

pub(crate) const PARTITIONS: u16 = 3;
pub(crate) const SPREAD: u16 = 2;
const PRINCIPAL: &str = "ada";

/// What the server keeps of one connection.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) events: VecDeque<Message>,
    pub(crate) acks: VecDeque<Message>,
    pub(crate) views: BTreeMap<ViewId, (MapAddress, Selector)>,
    /// Every op that arrived, in order.
    pub(crate) pushed: Vec<OpId>,
    /// How many ops each push had.
    pub(crate) push_sizes: Vec<usize>,
    pub(crate) stored: Vec<Stored>,
    pub(crate) released: Vec<RunId>,
    pub(crate) received: u64,
    offset_ms: i64,
    last_of_run: BTreeMap<RunId, u64>,
    refusing: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) history: History,
    pub(crate) digest_key: DigestKey,
    pub(crate) partitions: BTreeMap<PartitionId, Partition>,
    views: BTreeMap<(ViewId, PartitionId), View>,
    numbers: Vec<(MapAddress, Selector)>,
    pub(crate) links: BTreeMap<usize, Link>,
    /// Keys on which ops are rejected.
    pub(crate) forbidden: BTreeSet<Key>,
    /// Maps that nobody may follow.
    pub(crate) hidden: BTreeSet<MapName>,
    /// How many of the next pushes are refused as retryable.
    pub(crate) deferrals: usize,
    pub(crate) push_window: u32,
    pub(crate) max_value_bytes: u32,
    pub(crate) now_ms: u64,
    writes: u64,
}

pub(crate) fn address(map: &MapName) -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: map.clone(),
    }
}

impl Server {
    pub(crate) fn new(history: u64) -> Self {
        let (history, digest_key) = (History(history), DigestKey(42 + history));
        let partition = |id| {
            Partition::new(PartitionConfig {
                id,
                history,
                digest_key,
                seed: TableSeed(1, 2),
            })
        };
        let ids = (0..PARTITIONS).map(PartitionId);
        Self {
            history,
            digest_key,
            partitions: ids.map(|id| (id, partition(id))).collect(),
            views: BTreeMap::new(),
            numbers: Vec::new(),
            links: BTreeMap::new(),
            forbidden: BTreeSet::new(),
            hidden: BTreeSet::new(),
            deferrals: 0,
            push_window: 16,
            max_value_bytes: 256 * 1024,
            now_ms: 1_000_000_000,
            writes: 0,
        }
    }

    pub(crate) fn placement(map: &MapAddress) -> Placement {
        Placement::new(map, SPREAD, PARTITIONS)
    }

    /// The live entries of a map.
    pub(crate) fn live(&self, map: &MapName) -> BTreeMap<Key, Record> {
        let address = address(map);
        let pages = self
            .partitions
            .values()
            .map(|partition| partition.page(&address, &Selector::All, None, EVERYTHING));
        pages
            .flat_map(|page| page.records)
            .map(|record| (record.key.clone(), record))
            .collect()
    }

    /// A write of another client.
    pub(crate) fn write(&mut self, map: &MapName, key: &Key, value: Option<Vec<u8>>) -> Stamp {
        self.writes += 1;
        let op = Op {
            id: OpId {
                run: RunId(u64::MAX),
                number: self.writes,
            },
            hlc: Hlc::new(self.now_ms, 0),
            map: map.clone(),
            key: key.clone(),
            action: match value {
                Some(value) => Action::Put {
                    value: value.into(),
                    ttl_ms: None,
                },
                None => Action::Remove,
            },
            base: Hlc::ZERO,
            if_version: None,
            schema: 0,
            ack: None,
        };
        let stamp = op.stamp();
        self.commit(None, vec![op], Timing::Server);
        stamp
    }

    pub(crate) fn handle(&mut self, id: usize, message: Message) {
        let link = self.links.entry(id).or_default();
        link.received += 1;
        match message {
            Message::Hello(hello) => {
                link.offset_ms = hello.now_ms.cast_signed() - self.now_ms.cast_signed();
                let welcome = self.welcome(PARTITIONS);
                self.event(id, welcome);
            }
            Message::Push(push) => self.on_push(id, push),
            Message::Stored(stored) => {
                link.stored.extend(stored.iter().copied());
                for report in stored {
                    let batch = ProposalBatch {
                        stored: vec![Confirmation {
                            run: report.run,
                            principal: PRINCIPAL.into(),
                            through: report.through,
                        }],
                        ..ProposalBatch::default()
                    };
                    let partition = self.partitions.get_mut(&report.partition).unwrap();
                    let decided = partition.decide(&batch, self.now_ms, &Rules::default());
                    partition.apply(&decided.effects).unwrap();
                }
            }
            Message::Release(run) => link.released.push(run),
            Message::Subscribe(subscribe) => self.on_subscribe(id, &subscribe),
            Message::Unsubscribe(view) => {
                link.views.remove(&view);
            }
            Message::Repair(repair) => {
                self.on_repair(id, repair.view, repair.partition, repair.step);
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("a client sends no {other:?}"),
        }
    }

    fn welcome(&self, partition_count: u16) -> Message {
        Message::Welcome(Welcome {
            version: grid_core::protocol::PROTOCOL_VERSION,
            codec: "cbor".to_owned(),
            now_ms: self.now_ms,
            history: self.history,
            partition_count,
            digest_key: self.digest_key.0,
            max_value_bytes: self.max_value_bytes,
            push_window: self.push_window,
            heartbeat_ms: 1_000,
        })
    }

    /// Greets a device as a data set of so many partitions would.
    pub(crate) fn connect_as(&mut self, id: usize, partition_count: u16) {
        self.links.insert(id, Link::default());
        let welcome = self.welcome(partition_count);
        self.event(id, welcome);
    }

    fn event(&mut self, id: usize, message: Message) {
        self.links.get_mut(&id).unwrap().events.push_back(message);
    }

    fn on_push(&mut self, id: usize, push: Push) {
        let link = self.links.get_mut(&id).unwrap();
        let last = push.ops.last().unwrap().id.number;
        let before = link.last_of_run.insert(push.run, last).unwrap_or(0);
        assert!(
            push.resume || push.previous == before,
            "{push:?} after {before}"
        );
        link.refusing &= !push.resume;
        if self.deferrals > 0 && !link.refusing {
            self.deferrals -= 1;
            link.refusing = true;
        }
        if link.refusing {
            link.acks.push_back(Message::Deferred(Deferred {
                run: push.run,
                from: push.ops[0].id.number,
                message: "later".to_owned(),
                retry_after_ms: 5,
            }));
            return;
        }
        link.push_sizes.push(push.ops.len());
        link.pushed.extend(push.ops.iter().map(|op| op.id));
        let offset_ms = link.offset_ms;
        self.commit(Some(id), push.ops, Timing::Client { offset_ms });
    }

    /// Decides and applies ops, tells subscribers, and acks to the connection that pushed.
    fn commit(&mut self, pusher: Option<usize>, ops: Vec<Op>, timing: Timing) {
        let mut batches: BTreeMap<PartitionId, Vec<Op>> = BTreeMap::new();
        for op in ops {
            let partition = Self::placement(&address(&op.map)).partition(&op.key);
            batches.entry(partition).or_default().push(op);
        }
        for (id, ops) in batches {
            let proposals = ops.iter().map(|op| Proposal {
                principal: PRINCIPAL.into(),
                timing,
                address: address(&op.map),
                op: op.clone(),
                veto: self.forbidden.contains(&op.key).then(|| Veto {
                    reason: RejectReason::Forbidden,
                    message: "not yours".to_owned(),
                }),
            });
            let batch = ProposalBatch {
                proposals: proposals.collect(),
                ..ProposalBatch::default()
            };
            let partition = self.partitions.get_mut(&id).unwrap();
            let decided = partition.decide(&batch, self.now_ms, &Rules::default());
            let applied = partition.apply(&decided.effects).unwrap();
            let partition = self.partitions[&id].clone();
            let mut changed = BTreeSet::new();
            for ((view, at), state) in &mut self.views {
                if *at != id {
                    continue;
                }
                let Some(change) = state.advance(&partition, &decided.effects, &applied) else {
                    continue;
                };
                changed.insert(*view);
                let records = change.records.into_iter().cloned();
                let head = Head {
                    view: *view,
                    partition: id,
                    mode: DeltaMode::Changes,
                    from: change.from,
                    to: change.to,
                    root: change.root,
                };
                let deltas = head.split(records.collect());
                for link in self
                    .links
                    .values_mut()
                    .filter(|link| link.views.contains_key(view))
                {
                    link.events.extend(deltas.iter().cloned());
                }
            }
            if let Some(pusher) = pusher {
                self.ack(pusher, &partition, &ops, &decided.outcomes, &changed);
            }
        }
    }

    fn ack(
        &mut self,
        pusher: usize,
        partition: &Partition,
        ops: &[Op],
        outcomes: &[grid_core::partition::Outcome],
        changed: &BTreeSet<ViewId>,
    ) {
        let link = self.links.get_mut(&pusher).unwrap();
        for (op, outcome) in ops.iter().zip(outcomes) {
            let number = op.id.number;
            let mut ack = Ack {
                run: op.id.run,
                partition: partition.id(),
                sequence: outcome.sequence,
                accepted: Vec::new(),
                exceptions: Vec::new(),
                window: None,
            };
            match &outcome.verdict {
                Verdict::Accepted => ack.accepted.push(NumberRange {
                    first: number,
                    count: 1,
                }),
                verdict => ack.exceptions.push(Exception {
                    number,
                    verdict: verdict.clone(),
                }),
            }
            link.acks.push_back(Message::Ack(ack));
            for (view, (address, selector)) in &link.views {
                let shows = address.map == op.map && selector.matches(&op.key);
                if shows && !changed.contains(view) {
                    let state = &self.views[&(*view, partition.id())];
                    let head = Head {
                        view: *view,
                        partition: partition.id(),
                        mode: DeltaMode::Changes,
                        from: state.last(),
                        to: partition.sequence(),
                        root: state.root(),
                    };
                    link.events.extend(head.split(Vec::new()));
                }
            }
        }
    }

    fn on_subscribe(&mut self, id: usize, subscribe: &Subscribe) {
        if self.hidden.contains(&subscribe.map) {
            let refused = SubscribeRefused {
                request: subscribe.request,
                reason: RejectReason::Forbidden,
                message: "not for you".to_owned(),
            };
            return self.event(id, Message::SubscribeRefused(refused));
        }
        let what = (address(&subscribe.map), subscribe.selector.clone());
        if !self.numbers.contains(&what) {
            self.numbers.push(what.clone());
        }
        let index = self
            .numbers
            .iter()
            .position(|known| *known == what)
            .unwrap();
        let view = ViewId(index as u64 + 1);
        let (address, selector) = what;
        let link = self.links.get_mut(&id).unwrap();
        link.views.insert(view, (address.clone(), selector.clone()));
        self.event(
            id,
            Message::Subscribed(Subscribed {
                request: subscribe.request,
                view,
                definition: MapDefinition {
                    spread: SPREAD,
                    schema: 0,
                },
            }),
        );
        let cursors: BTreeMap<_, _> = subscribe.cursor.iter().copied().collect();
        let mut unchanged = Some(0u128);
        let mut messages = Vec::new();
        for partition in Self::placement(&address).partitions() {
            let state = &self.partitions[&partition];
            let opened = self
                .views
                .entry((view, partition))
                .or_insert_with(|| state.open_view(&address, &selector));
            let cursor = cursors.get(&partition).copied();
            let (stated, answer) = catch_up(state, opened, view, subscribe.history, cursor);
            unchanged = unchanged
                .filter(|_| stated)
                .map(|root| root.wrapping_add(opened.root()));
            messages.extend(answer);
        }
        if let Some(root) = unchanged {
            messages = vec![Message::CaughtUp(CaughtUp {
                view,
                history: self.history,
                cursor: Vec::new(),
                root,
                reset: false,
            })];
        }
        self.links.get_mut(&id).unwrap().events.extend(messages);
    }

    fn on_repair(&mut self, id: usize, view: ViewId, at: PartitionId, step: RepairStep) {
        let state = &self.views[&(view, at)];
        let partition = &self.partitions[&at];
        let (map, selector) = (state.address(), state.selector());
        let messages = match step {
            RepairStep::Nodes {
                bits,
                level,
                parents,
            } => {
                let answer = partition.repair_nodes(map, selector, bits, level, &parents);
                answered(partition, state, view, answer.unwrap(), level, &parents)
            }
            RepairStep::Leaves { bits, leaves } => {
                let answer = partition.repair_leaves(map, selector, bits, &leaves);
                answered(partition, state, view, answer.unwrap(), 0, &[])
            }
            RepairStep::Fetch { keys } => {
                assert!(!keys.is_empty(), "a fetch of nothing");
                let places = partition.find_hashes(map, selector, &keys);
                let records = places.iter().filter_map(|at| partition.record_at(map, *at));
                let head = Head {
                    view,
                    partition: at,
                    mode: DeltaMode::Repair,
                    from: state.last(),
                    to: partition.sequence(),
                    root: state.root(),
                };
                head.split(records.collect())
            }
            RepairStep::Snapshot => snapshot(partition, state, view),
        };
        self.links.get_mut(&id).unwrap().events.extend(messages);
    }
}
