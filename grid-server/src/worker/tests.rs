use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::op::{Action, Op};
use grid_core::partition::{Farewell, Partition, ProposalBatch, Rules, View};
use grid_core::protocol::{Message, Selector, ViewId};
use grid_core::traits::{Codec, CodecLimits};
use grid_core::{History, Key, PartitionId, Result, Sequence};

use super::batch::Batch;
use super::jobs::{PIECES_PER_TURN, Scene};
use super::subscribers::Subscriber;
use crate::sessions::{Codecs, Level, Session};
use crate::support::{self, address, commit};

const VIEW: ViewId = ViewId(1);

fn op(number: u64, key: &str, value: Option<usize>) -> Op {
    let put = |bytes| support::put(vec![0; bytes].into());
    Op {
        key: Key::new(key).unwrap(),
        action: value.map_or(Action::Remove, put),
        ..support::op(number)
    }
}

/// A partition with `keys` entries of some 10 KB each.
fn partition(keys: u64) -> Partition {
    let mut partition = support::partition(2);
    let ops = (1..=keys).map(|number| op(number, &format!("k{number}"), Some(10_000)));
    commit(&mut partition, ops);
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

#[test]
fn what_changes_while_a_stream_is_under_way_is_in_it_once() {
    let codecs: Codecs = Arc::new([Arc::new(CborCodec) as Arc<dyn Codec>]);
    for from in [None, Some(Sequence(2))] {
        let mut partition = partition(30);
        let view = partition.open_view(&address(), &Selector::All);
        let session = Session::for_tests();
        let mut subscriber = subscriber(&session);
        let merge = session.outgoing().begin_merge(VIEW, History(5), 1);
        let more =
            scene(&partition, &view, &codecs).welcome(&mut subscriber, merge, History(5), from);
        assert!(!more, "the queue is full");
        // What the client has by the names of its keys, and how often it was told of each.
        let mut held: BTreeMap<String, Option<usize>> = BTreeMap::new();
        if from.is_some() {
            held.extend([
                ("k1".to_owned(), Some(10_000)),
                ("k2".to_owned(), Some(10_000)),
            ]);
        }
        let mut records = 0;
        let mut take = |held: &mut BTreeMap<String, Option<usize>>| {
            for message in session.queued() {
                let Message::Delta(delta) = message else {
                    panic!("{message:?}");
                };
                for record in delta.records {
                    records += 1;
                    held.insert(
                        record.key.to_string(),
                        record.value.map(|value| value.len()),
                    );
                }
            }
            session.outgoing().sent(usize::MAX);
            records
        };
        let begun = take(&mut held);
        assert!(
            (3..15).contains(&begun),
            "{begun} records in the first pieces"
        );
        // Of those that were sent and of those that were not: one changes, one goes.
        let changes = [
            op(31, "k3", None),
            op(32, "k4", Some(4)),
            op(33, "k29", None),
            op(34, "k30", Some(5)),
            op(35, "new", Some(6)),
        ];
        commit(&mut partition, changes);
        while !subscriber.is_live() {
            let _ = scene(&partition, &view, &codecs).run(&mut subscriber);
            take(&mut held);
        }
        held.retain(|_, value| value.is_some());
        let mut expected: BTreeMap<String, Option<usize>> = (1..=30)
            .map(|number| (format!("k{number}"), Some(10_000)))
            .collect();
        expected.extend([("k4".to_owned(), Some(4)), ("k30".to_owned(), Some(5))]);
        expected.insert("new".to_owned(), Some(6));
        expected.remove("k3");
        expected.remove("k29");
        assert_eq!(held, expected);
        assert_eq!(subscriber.cursor, partition.sequence());
        let all = take(&mut held);
        assert!(
            all <= 34,
            "{all} records: two of them twice, one tombstone each"
        );
    }
}

#[test]
fn the_end_of_a_run_is_work_for_partitions_that_know_the_run_and_only_once() {
    let mut partitions: Vec<Partition> = (0..100).map(support::partition).collect();
    commit(&mut partitions[7], [op(1, "k", Some(1))]);
    let name = support::proposal(support::op(1)).principal;
    let session = Session::of(&name, &Session::for_tests().namespace().clone());
    let stranger = Session::of("nobody", session.namespace());
    let work = |session: &Session, partitions: &[Partition]| {
        let mut batch = Batch::default();
        batch.release(session, support::RUN, partitions.iter());
        batch.items
    };
    assert_eq!(work(&stranger, &partitions), 0);
    assert_eq!(work(&session, &partitions), 1);
    let batch = ProposalBatch {
        released: vec![Farewell {
            run: support::RUN,
            principal: name,
        }],
        ..ProposalBatch::default()
    };
    let decided = partitions[7].decide(&batch, 1, &Rules::default());
    partitions[7].apply(&decided.effects).unwrap();
    assert_eq!(work(&session, &partitions), 0);
}
