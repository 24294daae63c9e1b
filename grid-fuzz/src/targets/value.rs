//! The check of values: CBOR whose meaning is not ours, held against ciborium.

use bytes::Bytes;
use ciborium::Value;
use grid_core::ErrorKind;
use grid_core::codec::{item_length, validate};
use grid_core::limits::MAX_CBOR_DEPTH;

use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "value",
    promise: "what is taken for one well-formed item is one, and what is one is taken for it",
    run,
    seeds,
};

/// Items of one collection; more than an input has bytes.
const MANY: usize = 1 << 20;

fn run(data: &[u8]) {
    let length = item_length(data, MAX_CBOR_DEPTH, MANY);
    if let Err(error) = &length {
        let kinds = [ErrorKind::Invalid, ErrorKind::TooLarge];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
    let whole = validate(data, MAX_CBOR_DEPTH, MANY).is_ok();
    let covers = length.as_ref().is_ok_and(|length| *length == data.len());
    assert_eq!(whole, covers, "a value is one item and nothing more");
    check_bounds(data, whole);
    compare(data, length.ok());
}

/// Narrower bounds let nothing pass that wider ones stop.
fn check_bounds(data: &[u8], whole: bool) {
    let narrow = validate(data, 2, 3);
    assert!(whole || narrow.is_err());
    if let (true, Err(error)) = (whole, narrow) {
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
}

fn compare(data: &[u8], length: Option<usize>) {
    // Of a simple value below 32 in two bytes ciborium makes something; it is not well-formed.
    // Other simple values are, and ciborium knows only the named ones.
    if data.iter().any(|byte| matches!(byte, 0xe0..=0xf3 | 0xf8)) {
        return;
    }
    let mut rest = data;
    let read = ciborium::from_reader::<Value, _>(&mut rest);
    let read = read.is_ok().then(|| data.len() - rest.len());
    match (length, read) {
        (Some(ours), Some(theirs)) => assert_eq!(ours, theirs, "the length of the item"),
        // Of chunks within chunks ciborium makes something, too.
        (None, Some(theirs))
            if data[..theirs]
                .iter()
                .any(|byte| matches!(byte, 0x5f | 0x7f)) => {}
        (None, Some(theirs)) => {
            // Only a bound can be the reason.
            let error = item_length(&data[..theirs], MAX_CBOR_DEPTH, MANY);
            let kind = error.expect_err("it was refused before").kind();
            assert_eq!(kind, ErrorKind::TooLarge, "ciborium reads it");
        }
        // Of a negative number below -2^127 ciborium makes nothing.
        (Some(ours), None) if is_very_negative(&data[..ours]) => {}
        (Some(ours), None) => panic!("ciborium does not read the item of {ours} bytes"),
        (None, None) => {}
    }
}

/// Whether the tag 3 may stand there before sixteen bytes whose first bit is set. Both heads end in
/// a byte that tells, however long they are.
fn is_very_negative(item: &[u8]) -> bool {
    /// The longest head.
    const HEAD_BYTES: usize = 9;
    item.windows(2).enumerate().any(|(at, bytes)| {
        let before = &item[at.saturating_sub(HEAD_BYTES)..at];
        matches!(bytes, [0x50 | 0x10, 0x80..=0xff])
            && before.iter().any(|b| matches!(b, 0xc3 | 0x03))
    })
}

/// Items of every type, after RFC 8949, appendix A.
fn seeds() -> Vec<Seed> {
    let items: [(&str, &'static [u8]); 12] = [
        ("number", b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("negative", b"\x39\x01\x00"),
        ("big", b"\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00"),
        ("half", b"\xf9\x3c\x00"),
        ("double", b"\xfb\xc0\x10\x66\x66\x66\x66\x66\x66"),
        ("simple", b"\x84\xf4\xf5\xf6\xf7"),
        ("text", b"\x62\xc3\xbc"),
        ("nested", b"\x83\x01\x82\x02\x03\x82\x04\x05"),
        ("map", b"\xa2\x61a\x01\x61b\x82\x02\x03"),
        ("chunks", b"\x5f\x42\x01\x02\x43\x03\x04\x05\xff"),
        ("text-chunks", b"\x7f\x65strea\x64ming\xff"),
        ("open", b"\xbf\x61a\x01\x61b\x9f\x02\x03\xff\xff"),
    ];
    let seed = |(name, item)| Seed::new(name, Bytes::from_static(item));
    items.map(seed).to_vec()
}
