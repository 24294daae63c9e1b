//! Decoding takes memory in proportion to the bytes that came, whatever they claim.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counting;
mod wire;

use bytes::{Bytes, BytesMut};
use counting::asked;
use grid_core::codec::{CborCodec, decode_ops, decode_record, encode_ops, encode_record, validate};
use grid_core::limits::{MAX_FRAME_BYTES, MAX_ITEMS_PER_MESSAGE};
use grid_core::traits::{Codec, CodecLimits};

/// Bytes that a decoder may ask for besides those in proportion to its input: an error with its
/// message, a name.
const FIXED_BYTES: usize = 4096;
/// Bytes that a decoder may ask for per byte of input: the largest item in memory has 200 bytes,
/// the smallest encoded op has 11.
const PER_BYTE: usize = 24;

/// Decodes `bytes` as everything that they could be.
fn check(bytes: &Bytes, what: &str) {
    let allowed = FIXED_BYTES + PER_BYTE * bytes.len();
    let limits = CodecLimits::default();
    let frame = asked(|| drop(CborCodec.decode(bytes.clone(), &limits))).bytes;
    assert!(
        frame <= allowed,
        "{what}: {frame} bytes for a frame of {}",
        bytes.len()
    );
    let record = asked(|| drop(decode_record(bytes))).bytes;
    assert!(
        record <= allowed,
        "{what}: {record} bytes for a row of {}",
        bytes.len()
    );
    let ops = asked(|| drop(decode_ops(bytes))).bytes;
    assert!(
        ops <= allowed,
        "{what}: {ops} bytes for a row of {}",
        bytes.len()
    );
}

/// The vectors: frames and rows.
fn vectors() -> Vec<(String, Bytes)> {
    let encode = |(name, message): (&str, _)| {
        let mut frame = BytesMut::new();
        CborCodec.encode(&message, &mut frame).unwrap();
        (name.to_owned(), frame.freeze())
    };
    let mut all: Vec<_> = wire::messages().into_iter().map(encode).collect();
    for (index, record) in wire::records().iter().enumerate() {
        let mut row = BytesMut::new();
        encode_record(record, &mut row);
        all.push((format!("record {index}"), row.freeze()));
    }
    let mut row = BytesMut::new();
    encode_ops(&wire::ops(), &mut row).unwrap();
    all.push(("ops".to_owned(), row.freeze()));
    all
}

#[test]
fn the_count_counts() {
    let grown = asked(|| drop(std::hint::black_box(vec![0_u8; 1000]))).bytes;
    assert!((1000..2000).contains(&grown), "{grown}");
}

#[test]
fn a_declared_length_of_2_to_the_60_is_refused_at_once() {
    for (name, bytes) in vectors() {
        for place in 0..bytes.len() {
            // A string, text, array or map that claims 2^60, and every size below.
            for (major, bits) in (2..6_u8).flat_map(|major| [16, 28, 32, 60].map(|b| (major, b))) {
                let mut claim = BytesMut::from(&bytes[..place]);
                claim.extend_from_slice(&[major << 5 | 27]);
                claim.extend_from_slice(&(1_u64 << bits).to_be_bytes());
                claim.extend_from_slice(&bytes[place + 1..]);
                let what = format!("{name}, 2^{bits} at {place}");
                check(&claim.freeze(), &what);
            }
            let mut claim = BytesMut::from(&bytes[..place]);
            // In the shortest form, so that nothing else is wrong with it.
            claim.extend_from_slice(&[0x9a, 0x0f, 0xff, 0xff, 0xff]);
            claim.extend_from_slice(&bytes[place + 1..]);
            check(&claim.freeze(), &format!("{name}, a long list at {place}"));
        }
    }
}

#[test]
fn frames_full_of_the_smallest_items_stay_in_proportion() {
    let items: [(&str, &[u8], &[u8]); 8] = [
        (
            "ops",
            b"\x86\x04\x01\xf4\x00\x81\x61m",
            b"\x89\x01\x00\x00\x61k\xf6\x00\x00\xf6\xf6",
        ),
        ("maps", b"\x86\x04\x01\xf4\x00", b"\x61m"),
        (
            "records",
            b"\x84\x13\x01\xf4",
            b"\x87\x61k\xf6\x00\xf6\x00\x00\xf6",
        ),
        ("ranges", b"\x86\x05\x01\x02\x03", b"\x01"),
        (
            "exceptions",
            b"\x86\x05\x01\x02\x03\x80",
            b"\x82\x01\x81\x00",
        ),
        ("stored", b"\x82\x07", b"\x83\x01\x02\x03"),
        ("cursor", b"\x86\x0e\x01\x02", b"\x00"),
        ("leaves", b"\x84\x0f\x01\x02\x83\x01\x0c", b"\x00"),
    ];
    let count = u16::try_from(MAX_ITEMS_PER_MESSAGE).unwrap();
    for (what, front, item) in items {
        let mut body = vec![0];
        body.extend_from_slice(front);
        body.push(0x99);
        body.extend_from_slice(&count.to_be_bytes());
        body.extend_from_slice(&item.repeat(count.into()));
        check(&body.into(), what);
    }
    let hashes = [
        &b"\0\x84\x0f\x01\x02\x82\x02\x5a\x00\x02\x00\x00"[..],
        &[7; 1 << 17],
    ]
    .concat();
    check(&hashes.into(), "hashes");
}

#[test]
fn a_frame_beyond_the_limit_is_not_even_looked_at() {
    let frame = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
    let limits = CodecLimits::default();
    let bytes = asked(|| drop(CborCodec.decode(frame.clone(), &limits))).bytes;
    assert!(bytes <= FIXED_BYTES, "{bytes}");
}

#[test]
fn the_check_of_a_value_allocates_nothing() {
    let nested = [
        vec![0x81; 60],
        b"\xa1\x61k\x9f\x01\x7f\x61a\xff\xff".to_vec(),
    ]
    .concat();
    let asked = asked(|| validate(&nested, 64, 100).unwrap());
    assert_eq!(asked.calls, 0);
}

#[test]
fn ops_of_one_map_cost_no_allocation_each() {
    let calls = |count: u8| {
        let op = b"\x89\x01\x00\x00\x61k\x41v\x00\x00\xf6\xf6";
        let front = [&b"\0\x86\x04\x01\xf4\x00\x81\x61m\x98"[..], &[count]].concat();
        let frame = Bytes::from([front, op.repeat(count.into())].concat());
        let limits = CodecLimits::default();
        // Shared once before, so that sharing it again allocates nothing.
        let whole = frame.slice(..);
        let bytes = asked(|| drop(CborCodec.decode(frame, &limits).unwrap())).bytes;
        drop(whole);
        bytes
    };
    let size = size_of::<grid_core::op::Op>();
    assert_eq!(calls(200) - calls(100), 100 * size);
}
