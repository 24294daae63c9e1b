//! Rows that a program finds in its own stores: records, ops, journal batches, state records, and
//! whole stores of a client.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use ciborium::Value;
use grid_core::codec::{decode_ops, decode_record, encode_ops, encode_record};
use grid_core::partition::{Effects, Partition, PartitionConfig, ProposalBatch, Rules, TableSeed};
use grid_core::partition::{Proposal, Timing};
use grid_core::protocol::Selector;
use grid_core::traits::{Position, StateRecord};
use grid_core::{
    DigestKey, Error, ErrorKind, History, MapAddress, Namespace, PartitionId, Result, RunId,
    Sequence,
};

use crate::conversation::NOW_MS;
use crate::format::Fields;
use crate::script::Script;
use crate::store::Store;
use crate::target::{Seed, Target};
use crate::wire;

pub(super) const TARGET: Target = Target {
    name: "row",
    promise: "a row is refused as damaged, or is read, written and read again as the same",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let row = Bytes::copy_from_slice(rest);
    match kind % 5 {
        0 => same_again(&row, decode_record, |record| {
            let mut again = BytesMut::new();
            encode_record(record, &mut again);
            assert_eq!(again[1..], cbor(&Fields::Known.record(record)));
            again.freeze()
        }),
        1 => same_again(&row, decode_ops, |ops| {
            let mut again = BytesMut::new();
            encode_ops(ops, &mut again).expect("ops that were read can be written");
            let run = ops.first().map_or(0, |op| op.id.run.0);
            let [maps, described] = Fields::Known.ops(ops);
            let described = Value::Array(vec![Value::from(run), maps, described]);
            assert_eq!(again[1..], cbor(&described));
            again.freeze()
        }),
        2 => same_again(&row, Effects::decode, Effects::encode),
        3 => state(&row),
        _ => store(rest),
    }
}

/// The format as it is described, written by another library.
fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("memory takes everything");
    bytes
}

fn same_again<T: PartialEq + Debug>(
    row: &Bytes,
    decode: impl Fn(&Bytes) -> Result<T>,
    encode: impl Fn(&T) -> Bytes,
) {
    match decode(row) {
        Err(error) => check(&error),
        Ok(read) => {
            let again = encode(&read);
            assert!(again.len() <= row.len(), "{} of {}", again.len(), row.len());
            assert_eq!(decode(&again).expect("what was just written"), read);
            assert_eq!(encode(&read), again);
        }
    }
}

fn check(error: &Error) {
    let kinds = [ErrorKind::Corrupt, ErrorKind::Version];
    assert!(kinds.contains(&error.kind()), "{error}");
}

fn config() -> PartitionConfig {
    PartitionConfig {
        id: PartitionId(1),
        history: History(1),
        digest_key: DigestKey(2),
        seed: TableSeed(3, 4),
    }
}

fn state(row: &Bytes) {
    let record = StateRecord {
        history: History(1),
        sequence: Sequence(9),
        data: row.clone(),
    };
    match Partition::restore(config(), &record) {
        Err(error) => check(&error),
        Ok((partition, position)) => {
            let saved = partition.save(position);
            let (again, same) = Partition::restore(config(), &saved).expect("what was just saved");
            assert_eq!((again.save(same), same), (saved, position));
        }
    }
}

/// A client's store of these rows is refused, or opened; what is opened can be used.
fn store(data: &[u8]) {
    let mut store = Store::default();
    let mut script = Script::new(data);
    while !script.is_over() {
        let table = script.below(3);
        let (key, value) = (script.bytes(200), script.bytes(2000));
        store.put(table, key.into(), value.into());
    }
    let mut replica = match store.load(RunId(77)) {
        Ok(replica) => replica,
        Err(error) => {
            let kinds = [
                ErrorKind::Corrupt,
                ErrorKind::Version,
                ErrorKind::Conflict,
                ErrorKind::Invalid,
            ];
            assert!(kinds.contains(&error.kind()), "{error}");
            return;
        }
    };
    let map = Store::map();
    replica
        .open_map(&map, Selector::All)
        .expect("a map can be opened");
    let seen = replica.entries(&map, NOW_MS).count();
    assert_eq!(seen, replica.len(&map, NOW_MS));
    let save = replica
        .begin_save(Vec::new(), NOW_MS)
        .expect("nothing is wrong with it");
    if let Some(save) = save {
        store.apply(save.batch.clone());
        replica.saved(save);
    }
}

/// Rows as the program writes them.
fn seeds() -> Vec<Seed> {
    let kind = |kind: u8, row: &[u8]| [&[kind], row].concat();
    let mut seeds = Vec::new();
    for (number, record) in wire::records().iter().enumerate() {
        let mut row = BytesMut::new();
        encode_record(record, &mut row);
        seeds.push(Seed::new(format!("record-{number}"), kind(0, &row)));
    }
    let mut row = BytesMut::new();
    encode_ops(&wire::ops(), &mut row).expect("they fit");
    seeds.push(Seed::new("ops", kind(1, &row)));
    let (effects, saved) = a_batch();
    seeds.push(Seed::new("effects", kind(2, &effects)));
    seeds.push(Seed::new("state", kind(3, &saved.data)));
    seeds.push(Seed::new("store", kind(4, &Store::of_a_device().script())));
    seeds
}

/// A journal batch, and the state record after it.
fn a_batch() -> (Bytes, StateRecord) {
    let mut partition = Partition::new(config());
    let proposals = wire::ops().into_iter().map(|op| Proposal {
        principal: "ada".into(),
        timing: Timing::Client { offset_ms: 0 },
        address: MapAddress {
            namespace: Namespace::default(),
            map: op.map.clone(),
        },
        op,
        veto: None,
    });
    let batch = ProposalBatch {
        proposals: proposals.collect(),
        ..ProposalBatch::default()
    };
    let decided = partition.decide(&batch, NOW_MS, &Rules::default());
    let applied = partition.apply(&decided.effects);
    applied.expect("it follows on nothing");
    (decided.effects.encode(), partition.save(Position(1)))
}
