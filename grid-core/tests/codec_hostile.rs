//! What a peer or a damaged disk may hand to the codec, and what must come of it: an error.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod wire;

use bytes::{Bytes, BytesMut};
use grid_core::codec::{
    CborCodec, DRIVER, agree_version, decode_ops, decode_record, encode_ops, encode_record,
    read_hello, write_hello,
};
use grid_core::limits::MAX_CBOR_DEPTH;
use grid_core::protocol::{FRAME_CHECK_BYTES, Hello, MAGIC, Message, PROTOCOL_VERSION, seal_frame};
use grid_core::traits::{Codec, CodecLimits};
use grid_core::{Error, ErrorKind, Registry, Result};

fn frames() -> Vec<(&'static str, Bytes)> {
    let encode = |(name, message)| {
        let mut frame = BytesMut::new();
        CborCodec.encode(&message, &mut frame).unwrap();
        (name, frame.freeze())
    };
    wire::messages().into_iter().map(encode).collect()
}

/// The rows of the vectors: of one record each, and of ops.
fn rows() -> (Vec<Bytes>, Bytes) {
    let of_record = |record: &grid_core::Record| {
        let mut row = BytesMut::new();
        encode_record(record, &mut row);
        row.freeze()
    };
    let mut ops = BytesMut::new();
    encode_ops(&wire::ops(), &mut ops).unwrap();
    (
        wire::records().iter().map(of_record).collect(),
        ops.freeze(),
    )
}

fn decode(frame: impl Into<Bytes>) -> Result<Message> {
    CborCodec.decode(frame.into(), &CodecLimits::default())
}

/// The error about a frame of these bytes after the byte that says "plain".
fn refused(body: &[u8]) -> Error {
    decode([&[0], body].concat()).unwrap_err()
}

#[test]
fn no_prefix_is_a_message() {
    for (name, frame) in frames() {
        for end in 0..frame.len() {
            let error = decode(frame.slice(..end)).expect_err(name);
            assert_eq!(
                error.kind(),
                ErrorKind::Protocol,
                "{name} cut at {end}: {error}"
            );
        }
    }
}

#[test]
fn no_prefix_is_a_row() {
    let (records, ops) = rows();
    for row in records {
        for end in 0..row.len() {
            let error = decode_record(&row.slice(..end)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {end}: {error}");
        }
    }
    for end in 0..ops.len() {
        let error = decode_ops(&ops.slice(..end)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {end}: {error}");
    }
}

#[test]
fn a_row_beyond_a_bound_is_damaged_like_any_other() {
    let (records, _) = rows();
    // One field more, of a later version, which is nested deeper than anything may be.
    let mut row = BytesMut::from(records[0].clone());
    row[1] += 1;
    row.extend_from_slice(&[0x81; MAX_CBOR_DEPTH + 1]);
    row.extend_from_slice(b"\x00");
    let error = decode_record(&row.freeze()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains("nested"), "{error}");
}

#[test]
fn rows_of_later_formats_say_so() {
    let (records, ops) = rows();
    let later = |row: &Bytes| Bytes::from([&[2], &row[1..]].concat());
    let errors = [
        decode_record(&later(&records[0])).unwrap_err(),
        decode_ops(&later(&ops)).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Version);
        assert!(error.message().contains("format 2"), "{error}");
    }
}

#[test]
fn a_message_with_any_bit_flipped_is_an_error_or_a_message() {
    let (mut taken, mut refused) = (0, 0);
    for (name, frame) in frames() {
        for bit in 0..8 * frame.len() {
            let mut flipped = BytesMut::from(frame.clone());
            flipped[bit / 8] ^= 1 << (bit % 8);
            match decode(flipped) {
                Ok(message) => {
                    let mut again = BytesMut::new();
                    CborCodec.encode(&message, &mut again).expect(name);
                    assert_eq!(decode(again).unwrap(), message, "{name}, bit {bit}");
                    taken += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    // Both happen: a flip in a value is a value, a flip in a head is an error.
    assert!(
        taken > 1000 && refused > 1000,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn a_row_with_any_bit_flipped_never_panics() {
    let (records, ops) = rows();
    let rows = records.into_iter().chain([ops]);
    let mut refused = 0;
    for row in rows {
        for bit in 0..8 * row.len() {
            let mut flipped = BytesMut::from(row.clone());
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = flipped.freeze();
            refused += usize::from(decode_record(&flipped).is_err());
            refused += usize::from(decode_ops(&flipped).is_err());
        }
    }
    assert!(refused > 1000, "{refused} refused");
}

#[test]
fn items_of_no_declared_length_are_refused() {
    let bodies: [&[u8]; 6] = [
        // A ping in an array without a length.
        b"\x9f\x14\x17\xff",
        // A renewal whose token is in chunks.
        b"\x82\x03\x7f\x61a\x61b\xff",
        // A release of a run that is a string of bytes in chunks.
        b"\x82\x08\x5f\x41a\xff",
        // A list without a length.
        b"\x82\x07\x9f\xff",
        // A ping with a field of a later version that has no length.
        b"\x83\x14\x17\x9f\xff",
        b"\x83\x14\x17\x82\x01\x7f\x61a\xff",
    ];
    for body in bodies {
        let error = refused(body);
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.message().contains("no declared length"), "{error}");
    }
    assert!(refused(b"\xff").message().contains("no declared length"));
    assert!(refused(b"\x83\x14\x17\xff").message().contains("end mark"));
}

#[test]
fn numbers_and_lengths_are_in_their_shortest_form() {
    let bodies: [&[u8]; 6] = [
        b"\x82\x14\x18\x17",
        b"\x82\x14\x19\x00\xff",
        b"\x82\x14\x1a\x00\x00\xff\xff",
        b"\x82\x14\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x98\x02\x14\x17",
        b"\x82\x03\x78\x01a",
    ];
    for body in bodies {
        let error = refused(body);
        assert!(error.message().contains("shortest"), "{error}");
    }
    assert_eq!(
        decode(&b"\0\x82\x14\x18\x18"[..]).unwrap(),
        Message::Ping(24)
    );
}

#[test]
fn what_is_wrong_is_named() {
    let cases: [(&[u8], &str); 17] = [
        (b"", "end within an item"),
        (b"\x80", "too few fields"),
        (b"\x81\x14", "too few fields"),
        (b"\x82\x17\x00", "kind 23"),
        (b"\x14", "expected an array"),
        (b"\x82\x14\x61a", "expected a number"),
        (b"\x82\x14\x20", "expected a number"),
        (b"\x82\x03\x41a", "expected a text"),
        (b"\x82\x03\x61\xff", "not UTF-8"),
        (b"\x84\x02\x01\x61a\x01", "expected true or false"),
        (b"\x84\x02\x19\x01\x00\x61a\xf4", "out of its field's range"),
        (b"\x82\x1c\x00", "reserved byte"),
        (b"\x84\x0f\x01\x02\x82\x02\x47seven..", "not as long"),
        (b"\x84\x12\x01\x61m\x82\x00\x60", "name is not allowed"),
        (b"\x86\x05\x01\x02\x03\x83\x01\x01\x05\x80", "odd count"),
        (
            b"\x86\x05\x01\x02\x03\x82\x01\x00\x80",
            "range of op numbers",
        ),
        (b"\x82\x14\x17\x00", "follow the end"),
    ];
    for (body, what) in cases {
        let error = refused(body);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.message().contains(what), "{what}: {error}");
        assert!(error.to_string().contains("offset"), "{error}");
    }
}

/// A push of run 1 with the map `m` and these encoded ops.
fn push_of(ops: &[u8]) -> Vec<u8> {
    [b"\0\x86\x04\x01\xf4\x00\x81\x61m", ops].concat()
}

#[test]
fn ops_that_contradict_themselves_are_refused() {
    let good = push_of(
        b"\x82\x89\x02\x00\x00\x61k\xf6\x00\x00\xf6\xf6\x89\x01\x00\x00\x61k\xf6\x00\x00\xf6\xf6",
    );
    assert!(matches!(decode(good), Ok(Message::Push(push)) if push.ops[1].id.number == 3));
    let cases: [(&[u8], &str); 4] = [
        // The first op has number 0; the second the number of the first; a number overflows.
        (b"\x81\x89\x00\x00\x00\x61k\xf6\x00\x00\xf6\xf6", "do not ascend"),
        (
            b"\x82\x89\x02\x00\x00\x61k\xf6\x00\x00\xf6\xf6\x89\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x61k\xf6\x00\x00\xf6\xf6",
            "do not ascend",
        ),
        (b"\x81\x89\x01\x00\x01\x61k\xf6\x00\x00\xf6\xf6", "table"),
        (b"\x81\x89\x01\x00\x00\x61k\xf6\x00\x00\x05\xf6", "lifetime"),
    ];
    for (ops, what) in cases {
        let error = decode(push_of(ops)).unwrap_err();
        assert!(error.message().contains(what), "{what}: {error}");
    }
}

#[test]
fn indexes_outside_of_a_tree_are_refused() {
    // A request for leaves at distances -1; 2^32; 2^63 - 1 twice.
    let cases: [&[u8]; 3] = [
        b"\x81\x20",
        b"\x81\x1b\x00\x00\x00\x01\x00\x00\x00\x00",
        b"\x82\x01\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
    ];
    for indexes in cases {
        let error = refused(&[b"\x84\x0f\x01\x02\x83\x01\x0c", indexes].concat());
        assert!(error.message().contains("index is out of range"), "{error}");
    }
}

#[test]
fn deep_nesting_in_later_fields_is_refused() {
    let ping = |depth: usize| [&b"\0\x83\x14\x17"[..], &vec![0x81; depth], b"\x00"].concat();
    assert_eq!(decode(ping(MAX_CBOR_DEPTH)).unwrap(), Message::Ping(23));
    for depth in [MAX_CBOR_DEPTH + 1, 900_000] {
        let error = decode(ping(depth)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert!(error.message().contains("nested"), "{error}");
    }
    let shallow = CodecLimits {
        max_depth: 3,
        ..CodecLimits::default()
    };
    assert!(CborCodec.decode(ping(3).into(), &shallow).is_ok());
    assert!(CborCodec.decode(ping(4).into(), &shallow).is_err());
}

fn hello() -> Hello {
    let is_hello = |(_, message)| match message {
        Message::Hello(hello) => Some(hello),
        _ => None,
    };
    wire::messages().into_iter().find_map(is_hello).unwrap()
}

fn hello_frame(hello: &Hello) -> BytesMut {
    let mut frame = BytesMut::new();
    write_hello(hello, &mut frame).unwrap();
    frame
}

/// `frame` with another version behind its magic, and a check that is right.
fn of_version(mut frame: BytesMut, version: [u8; 2]) -> Bytes {
    frame.truncate(frame.len() - FRAME_CHECK_BYTES);
    frame[4..6].copy_from_slice(&version);
    checked(&frame)
}

/// A frame of these bytes, with a check that is right.
fn checked(content: &[u8]) -> Bytes {
    let mut frame = BytesMut::from(content);
    seal_frame(&mut frame, 0).unwrap();
    frame.freeze()
}

#[test]
fn a_first_frame_that_is_no_hello_is_named() {
    let limits = CodecLimits::default();
    let ping = Bytes::from_static(b"\0\x82\x14\x17");
    let wrong = checked(&[&MAGIC[..], b"\x00\x01\x82\x14\x17"].concat());
    let http = Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n");
    for (frame, what) in [
        (ping, "no grid client"),
        (wrong, "no hello"),
        (http, "no grid"),
    ] {
        let error = read_hello(&frame, &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.message().contains(what), "{error}");
    }
    let mut damaged = hello_frame(&hello());
    damaged[9] ^= 4;
    let error = read_hello(&damaged.freeze(), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.is_retryable(), "{error}");
    let long = Bytes::from([&MAGIC[..], &[0; 100_000]].concat());
    let error = read_hello(&long, &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn versions_that_do_not_meet_are_named() {
    let limits = CodecLimits::default();
    let old = of_version(hello_frame(&hello()), [0, 0]);
    let error = read_hello(&old, &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Version);
    assert!(error.message().contains("update the client"), "{error}");

    let lying = of_version(hello_frame(&hello()), [0, 2]);
    let error = read_hello(&lying, &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);

    let speaks = |min_version, max_version| Hello {
        min_version,
        max_version,
        ..hello()
    };
    assert_eq!(agree_version(&speaks(1, 1)).unwrap(), 1);
    assert_eq!(agree_version(&speaks(0, 900)).unwrap(), PROTOCOL_VERSION);
    // A client of a far later version is understood well enough to be told so.
    let later = speaks(PROTOCOL_VERSION + 1, PROTOCOL_VERSION + 7);
    let read = read_hello(&hello_frame(&later).freeze(), &limits).unwrap();
    let error = agree_version(&read).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Version);
    assert!(error.message().contains("update the server"), "{error}");
}

#[test]
fn a_hello_that_no_server_would_read_is_not_written() {
    let mut frame = BytesMut::from(&b"before"[..]);
    let many = Hello {
        codecs: vec![String::new(); 17],
        ..hello()
    };
    let long = Hello {
        token: Some("t".repeat(70_000)),
        ..hello()
    };
    for hello in [many, long] {
        let error = CborCodec
            .encode(&Message::Hello(hello), &mut frame)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    let upside_down = Hello {
        min_version: 2,
        max_version: 1,
        ..hello()
    };
    let error = CborCodec
        .encode(&Message::Hello(upside_down), &mut frame)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(&frame[..], b"before");
}

#[test]
fn the_driver_is_found_by_its_name() {
    let from_table = Registry::new(&[&DRIVER]).codec("cbor").unwrap();
    let from_inventory = Registry::default().codec("cbor").unwrap();
    assert_eq!((from_table.name(), from_inventory.name()), ("cbor", "cbor"));
}
