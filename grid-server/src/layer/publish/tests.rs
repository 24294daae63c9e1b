use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::codec::CborCodec;
use grid_core::partition::Partition;
use grid_core::protocol::Message;
use grid_core::traits::{Codec, Epoch, Position};
use grid_core::{Error, ErrorKind, PartitionId, Sequence};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock::pair;

use super::PublishLayer;
use crate::partition_service::{Owned, PartResult, Shard, WorkBatch};
use crate::sessions::{Codecs, Session};
use crate::support::{address, commit, now, op, partition};
use crate::worker::SharedSubscribers;
use crate::write_behind::Backing;

fn owned(partition: Partition) -> Owned {
    Owned {
        backing: Backing::new(
            partition.save(Position(0)),
            Position(0),
            BTreeMap::default(),
        ),
        partition,
        epoch: Epoch(1),
        tail: Position(0),
        unknown: None,
        fenced: false,
    }
}

#[test]
fn followers_are_told_what_is_durable_and_no_sooner() {
    let codecs: Codecs = Arc::new([Arc::new(CborCodec) as Arc<dyn Codec>]);
    let session = Session::for_tests();
    let subscribers = SharedSubscribers::default();
    let mut partitions = [partition(0), partition(1), partition(2)];
    for partition in &partitions {
        subscribers
            .lock()
            .follow_all(&session, partition, &address());
    }
    let [first, second, _] = &mut partitions;
    let committed = commit(first, [op(1)]);
    // Its outcome was not known when it was asked for.
    let late = commit(second, [op(1)]);
    let refused = || Error::new(ErrorKind::Unavailable, "journal", "told to fail");
    let shard = Arc::new(Shard::new(
        partitions
            .into_iter()
            .map(|partition| (partition.id(), owned(partition)))
            .collect(),
    ));
    let layer = PublishLayer::new(0, shard, subscribers, codecs);
    let (mock, mut handle) = pair::<WorkBatch, Vec<PartResult>>();
    let mut service = layer.layer(mock);
    let served = now(service.ready()).unwrap().call(WorkBatch::default());
    let (_, answer) = now(handle.next_request()).unwrap();
    assert!(session.queued().is_empty(), "it is not durable yet");

    let result = |id, late, result| PartResult {
        partition: PartitionId(id),
        late,
        told_early: false,
        result,
    };
    answer.send_response(vec![
        result(0, None, Ok(committed)),
        result(1, Some(late), Err(refused())),
        result(2, None, Err(refused())),
    ]);
    let results = now(served).unwrap();
    assert_eq!(results.len(), 3, "the answer passes through");
    let told: Vec<_> = session
        .queued()
        .into_iter()
        .map(|message| match message {
            Message::Delta(delta) => (delta.partition.0, delta.to, delta.records.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(0, Sequence(1), 1), (1, Sequence(1), 1)]);
}
