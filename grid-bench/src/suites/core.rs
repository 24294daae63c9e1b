//! What every op pays on its way: clock, digest and tree, decoding, encoding, the filter of a view.

use std::hint::black_box;

use bytes::BytesMut;
use grid_core::codec::{CborCodec, Writer};
use grid_core::digest::EntryDigest;
use grid_core::merkle::MerkleTree;
use grid_core::protocol::{read_frame, write_frame};
use grid_core::query::{Filter, field};
use grid_core::traits::CodecLimits;
use grid_core::{Clock, DigestKey, Hlc, Key, Result};

use super::sample::{BATCH, START_MS, frame, key, push, stamp, value};
use crate::clock::nanos_per_item;
use crate::figure::{Better, Figure};

/// Entries in the tree: more than a bare root, and small enough to stay in the cache.
const ENTRIES: u32 = 4096;

/// Measures every case.
pub(super) fn measure() -> Result<Vec<Figure>> {
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
    Ok(vec![
        figure("hlc_tick", hlc_tick(), None, None),
        figure("digest_tree", digest_tree()?, Some(30.0), Some(10.0)),
        figure("decode", decode()?, Some(100.0), Some(66.0)),
        figure("encode", encode()?, Some(80.0), Some(45.0)),
        figure("filter", filter()?, None, None),
    ])
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
fn digest_tree() -> Result<f64> {
    let digests = DigestKey(0x1234_5678);
    let keys: Vec<Key> = (0..ENTRIES).map(key).collect::<Result<_>>()?;
    let value = value();
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
    Ok(nanos)
}

fn decode() -> Result<f64> {
    let limits = CodecLimits::default();
    let frame = frame(&push(0, 0..BATCH)?)?;
    Ok(nanos_per_item(BATCH, || {
        black_box(read_frame(&CborCodec, black_box(frame.clone()), &limits).is_ok());
    }))
}

fn encode() -> Result<f64> {
    let message = push(0, 0..BATCH)?;
    let mut buffer = BytesMut::with_capacity(frame(&message)?.len());
    Ok(nanos_per_item(BATCH, || {
        buffer.clear();
        black_box(write_frame(&CborCodec, black_box(&message), &mut buffer).is_ok());
    }))
}

/// Asks three comparisons of a value of 200 bytes and ten fields: the first, the middle and the
/// last of them, so that all of it is read.
fn filter() -> Result<f64> {
    let (filter, value) = (three_comparisons().compile()?, document());
    let key = Key::new("todo/1")?;
    Ok(nanos_per_item(BATCH, || {
        for _ in 0..BATCH {
            black_box(filter.matches(black_box(&key), black_box(&value)));
        }
    }))
}

fn three_comparisons() -> Filter {
    let (done, priority, owner) = (field("field0"), field("field5"), field("field9"));
    done.eq(false).and(priority.ge(2)).and(owner.eq("person"))
}

/// A map of ten fields, 200 bytes of CBOR.
fn document() -> BytesMut {
    let mut value = BytesMut::from(&[0xaa][..]);
    let mut writer = Writer::new(&mut value);
    for index in 0..10_u64 {
        writer.text(&format!("field{index}"));
        match index {
            0 => writer.bool(false),
            5 => writer.u64(3),
            9 => writer.text("person"),
            2 => writer.text(&"x".repeat(17)),
            _ => writer.text(&"x".repeat(16)),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filtered_has_200_bytes_and_passes() {
        let value = document();
        let key = Key::new("todo/1").expect("a key");
        assert_eq!(value.len(), 200);
        assert!(
            three_comparisons()
                .compile()
                .expect("compiles")
                .matches(&key, &value)
        );
        let shorter = &value[..value.len() - 1];
        assert!(
            !three_comparisons()
                .compile()
                .expect("compiles")
                .matches(&key, shorter)
        );
    }

    #[test]
    fn what_is_timed_is_a_frame_that_decodes_to_what_was_encoded() {
        let message = push(7, [3, 1, 2]).expect("a push");
        let frame = frame(&message).expect("encodes");
        let back = read_frame(&CborCodec, frame, &CodecLimits::default());
        assert_eq!(back.expect("decodes"), message);
    }
}
