//! What every op pays on its way: clock, digest and tree, decoding, encoding.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::digest::EntryDigest;
use grid_core::merkle::MerkleTree;
use grid_core::op::{Action, Op};
use grid_core::protocol::{Message, Push};
use grid_core::traits::{Codec, CodecLimits};
use grid_core::{Clock, DigestKey, Hlc, Key, MapName, OpId, RunId, Stamp};

use crate::clock::nanos_per_item;
use crate::figure::{Better, Figure};

/// Ops in a frame, entries written in a call.
const BATCH: u32 = 64;
/// Bytes of a value.
const VALUE_BYTES: usize = 100;
/// Entries in the tree: more than a bare root, and small enough to stay in the cache.
const ENTRIES: u32 = 4096;
const RUN: RunId = RunId(0x5eed_0123_4567_89ab);
/// Milliseconds since 1970 of the first op.
const START_MS: u64 = 1_700_000_000_000;

/// Measures every case.
pub(crate) fn measure() -> Vec<Figure> {
    let figure = |case, value, target, limit| Figure {
        suite: "core",
        case,
        metric: "ns",
        value,
        unit: "ns",
        better: Better::Lower,
        target,
        limit,
    };
    vec![
        figure("hlc_tick", hlc_tick(), None, None),
        figure("digest_tree", digest_tree(), Some(30.0), Some(10.0)),
        figure("decode", decode(), Some(100.0), Some(66.0)),
        figure("encode", encode(), Some(80.0), Some(45.0)),
    ]
}

fn hlc_tick() -> f64 {
    let mut clock = Clock::new(Hlc::ZERO);
    let mut now_ms = START_MS;
    nanos_per_item(BATCH, || {
        now_ms += 1;
        for _ in 0..BATCH {
            black_box(clock.tick(black_box(now_ms)));
        }
    })
}

/// Overwrites entries of a tree: digest of the new version, and the old one's place taken.
fn digest_tree() -> f64 {
    let digests = DigestKey(0x1234_5678);
    let keys: Vec<String> = (0..ENTRIES).map(key).collect();
    let value = [7; VALUE_BYTES];
    let version = |index: usize, number: u64| -> EntryDigest {
        digests.entry(keys[index].as_bytes(), &stamp(number), &value)
    };
    let mut present: Vec<EntryDigest> = (0..keys.len()).map(|index| version(index, 1)).collect();
    let mut tree = MerkleTree::new();
    tree.rebuild(present.iter().copied());
    let (mut index, mut number) = (0, 1);
    let nanos = nanos_per_item(BATCH, || {
        for _ in 0..BATCH {
            index = (index + 1) % keys.len();
            number += 1;
            let new = version(index, number);
            tree.replace(present[index], new);
            present[index] = new;
        }
    });
    black_box(tree.root());
    nanos
}

fn decode() -> f64 {
    let limits = CodecLimits::default();
    let frame = encoded(&push(), BytesMut::new()).freeze();
    nanos_per_item(BATCH, || {
        black_box(CborCodec.decode(black_box(frame.clone()), &limits).is_ok());
    })
}

fn encode() -> f64 {
    let message = push();
    let mut buffer = encoded(&message, BytesMut::new());
    nanos_per_item(BATCH, || {
        buffer.clear();
        black_box(CborCodec.encode(black_box(&message), &mut buffer).is_ok());
    })
}

#[expect(clippy::expect_used, reason = "the message is well within the bounds")]
fn encoded(message: &Message, mut buffer: BytesMut) -> BytesMut {
    CborCodec
        .encode(message, &mut buffer)
        .expect("a small push can be encoded");
    buffer
}

fn key(index: u32) -> String {
    format!("customer/{index:08}")
}

fn stamp(number: u64) -> Stamp {
    Stamp {
        hlc: Hlc::new(START_MS + number, 0),
        op: OpId { run: RUN, number },
    }
}

/// A push of [`BATCH`] ops as a client sends it.
#[expect(clippy::expect_used, reason = "the names are well within the bounds")]
fn push() -> Message {
    let map = MapName::new("customers").expect("a map's name");
    let value = Bytes::from(vec![7; VALUE_BYTES]);
    let ops = (0..BATCH)
        .map(|index| {
            let Stamp { hlc, op: id } = stamp(u64::from(index) + 1);
            Op {
                id,
                hlc,
                map: map.clone(),
                key: Key::new(&key(index)).expect("a key"),
                action: Action::Put {
                    value: value.clone(),
                    ttl_ms: None,
                },
                base: Hlc::new(START_MS - 1_000, 0),
                if_version: None,
                schema: 0,
            }
        })
        .collect();
    Message::Push(Push {
        run: RUN,
        resume: false,
        previous: 0,
        ops,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_timed_is_a_frame_that_decodes_to_what_was_encoded() {
        let message = push();
        let frame = encoded(&message, BytesMut::new()).freeze();
        let back = CborCodec.decode(frame, &CodecLimits::default());
        assert_eq!(back.expect("decodes"), message);
    }
}
