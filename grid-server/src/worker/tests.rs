use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::op::{Action, Op, OpId};
use grid_core::partition::{
    Partition, PartitionConfig, Proposal, ProposalBatch, Rules, TableSeed, Timing, View,
};
use grid_core::protocol::{Message, Selector, ViewId};
use grid_core::traits::{Codec, CodecLimits};
use grid_core::{
    DigestKey, History, Hlc, Key, MapAddress, MapName, Namespace, PartitionId, Result, RunId,
    Sequence,
};

use super::jobs::{PIECES_PER_TURN, Scene};
use super::subscribers::Subscriber;
use crate::sessions::{Codecs, Level, Session};

const VIEW: ViewId = ViewId(1);

fn address() -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: MapName::new("m").unwrap(),
    }
}

/// A partition with `keys` entries of some 10 KB each.
fn partition(keys: u64) -> Partition {
    let mut partition = Partition::new(PartitionConfig {
        id: PartitionId(2),
        history: History(5),
        digest_key: DigestKey(1),
        seed: TableSeed(3, 4),
    });
    let proposal = |number: u64| Proposal {
        principal: "ada".into(),
        timing: Timing::Client { offset_ms: 0 },
        address: address(),
        op: Op {
            id: OpId {
                run: RunId(7),
                number,
            },
            hlc: Hlc::new(number, 0),
            map: address().map,
            key: Key::new(&format!("k{number}")).unwrap(),
            action: Action::Put {
                value: Bytes::from(vec![0; 10_000]),
                ttl_ms: None,
            },
            base: Hlc::ZERO,
            if_version: None,
            schema: 0,
        },
        veto: None,
    };
    let batch = ProposalBatch {
        proposals: (1..=keys).map(proposal).collect(),
        ..ProposalBatch::default()
    };
    let decided = partition.decide(&batch, 1_000_000, &Rules::default());
    partition.apply(&decided.effects).unwrap();
    partition
}

fn subscriber(session: &Arc<Session>) -> Subscriber {
    Subscriber {
        session: session.clone(),
        cursor: Sequence::ZERO,
        jobs: VecDeque::new(),
    }
}

/// Collects every tombstone that there is.
fn collect(partition: &mut Partition) {
    let rules = Rules::default();
    let mut now_ms = 1_000_000;
    for _ in 0..3 {
        let effects = partition.housekeeping(now_ms, &rules, partition.sequence());
        partition.apply(&effects).unwrap();
        now_ms += rules.retention_ms;
    }
}

fn scene<'a>(partition: &'a Partition, view: &'a View, codecs: &'a Codecs) -> Scene<'a> {
    Scene {
        worker: 0,
        id: VIEW,
        view,
        partition,
        codecs,
    }
}

/// Encodes as CBOR, while something else fills the queue of a connection.
#[derive(Debug, Default)]
struct Meanwhile {
    session: OnceLock<Arc<Session>>,
}

impl Codec for Meanwhile {
    fn name(&self) -> &'static str {
        "cbor"
    }

    fn encode(&self, message: &Message, buffer: &mut BytesMut) -> Result<()> {
        if let Some(session) = self.session.get() {
            session.answer(&Message::Renew {
                token: "x".repeat(70_000),
            });
        }
        CborCodec.encode(message, buffer)
    }

    fn decode(&self, frame: Bytes, limits: &CodecLimits) -> Result<Message> {
        CborCodec.decode(frame, limits)
    }
}

#[test]
fn what_another_worker_queues_meanwhile_costs_a_stream_no_piece() {
    let partition = partition(20);
    let session = Session::for_tests();
    let meanwhile = Meanwhile::default();
    meanwhile.session.set(session.clone()).unwrap();
    let codecs: Codecs = Arc::new([Arc::new(meanwhile) as Arc<dyn Codec>]);
    let view = partition.open_view(&address(), &Selector::All);
    let scene = scene(&partition, &view, &codecs);
    let mut subscriber = subscriber(&session);
    let merge = session.outgoing().begin_merge(VIEW, History(5), 1);
    let _ = scene.welcome(&mut subscriber, merge, History(0), None);
    let mut keys = Vec::new();
    for _ in 0..100 {
        for message in session.queued() {
            if let Message::Delta(delta) = message {
                keys.extend(delta.records.into_iter().map(|record| record.key));
            }
        }
        session.outgoing().sent(usize::MAX);
        let _ = scene.run(&mut subscriber);
    }
    assert_eq!(keys.len(), 20);
}

#[test]
fn a_client_that_takes_all_there_is_leaves_others_their_turn() {
    // Five entries fit into one piece.
    let partition = partition(5 * 3 * PIECES_PER_TURN as u64);
    let session = Session::with_room(1 << 30);
    let codecs: Codecs = Arc::new([Arc::new(CborCodec) as Arc<dyn Codec>]);
    let view = partition.open_view(&address(), &Selector::All);
    let scene = scene(&partition, &view, &codecs);
    let mut subscriber = subscriber(&session);
    let merge = session.outgoing().begin_merge(VIEW, History(5), 1);
    let mut more = scene.welcome(&mut subscriber, merge, History(0), None);
    let mut turns = Vec::new();
    while more {
        turns.push(session.queued().len());
        more = scene.run(&mut subscriber);
    }
    assert!(turns.len() > 1 && turns.iter().all(|pieces| *pieces <= PIECES_PER_TURN));
    // Nothing is done for a client that is gone.
    let merge = session.outgoing().begin_merge(VIEW, History(5), 1);
    assert!(scene.welcome(&mut subscriber, merge, History(0), None));
    session.outgoing().end(None);
    assert!(!scene.run(&mut subscriber));
    assert!(subscriber.jobs.is_empty());
}

#[test]
fn a_stream_that_ends_in_a_reset_takes_nothing_from_the_answers_of_others() {
    let mut partition = partition(30);
    let session = Session::for_tests();
    let codecs: Codecs = Arc::new([Arc::new(CborCodec) as Arc<dyn Codec>]);
    let view = partition.open_view(&address(), &Selector::All);
    let mut subscriber = subscriber(&session);
    let merge = session.outgoing().begin_merge(VIEW, History(5), 2);
    let more = scene(&partition, &view, &codecs).welcome(
        &mut subscriber,
        merge,
        History(5),
        Some(Sequence(1)),
    );
    assert!(!more && !subscriber.is_live(), "the queue is full");
    session.queued();
    collect(&mut partition);
    assert!(partition.horizon() > Sequence(1));
    session.outgoing().sent(usize::MAX);
    let _ = scene(&partition, &view, &codecs).run(&mut subscriber);
    let told = session.queued();
    let [Message::CaughtUp(reset)] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(reset.reset);
    assert_eq!(reset.cursor, [(PartitionId(2), partition.sequence())]);
    // The view's other partition is level: its answer is not lost.
    let level = Level {
        sequence: Sequence(4),
        root: 9,
        reset: false,
        stated: true,
    };
    let other = PartitionId(3);
    session.outgoing().level(VIEW, merge, other, level).unwrap();
    let told = session.queued();
    let [Message::CaughtUp(caught_up)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(caught_up.cursor, [(other, Sequence(4))]);
}
