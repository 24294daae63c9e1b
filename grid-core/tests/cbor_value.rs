//! The check of values: what it lets pass, what not, against the specification and ciborium.

use ciborium::Value;
use grid_core::ErrorKind;
use grid_core::codec::{item_length, validate};
use grid_core::limits::{MAX_CBOR_DEPTH, MAX_STRING_CHUNKS};
use proptest::collection::vec;
use proptest::prelude::*;

fn is_valid(bytes: &[u8]) -> bool {
    validate(bytes, MAX_CBOR_DEPTH, 1000).is_ok()
}

fn kind(bytes: &[u8], max_depth: usize, max_items: usize) -> Option<ErrorKind> {
    validate(bytes, max_depth, max_items)
        .err()
        .map(|error| error.kind())
}

#[test]
fn well_formed_items_of_every_type_pass() {
    // Examples of RFC 8949, appendix A.
    let items: [&[u8]; 26] = [
        b"\x00",
        b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x18\x05",
        b"\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\xf9\x00\x01",
        b"\xfa\x47\xc3\x50\x00",
        b"\xfb\xc0\x10\x66\x66\x66\x66\x66\x66",
        b"\xf4",
        b"\xf6",
        b"\xf7",
        b"\xf0",
        b"\xf8\xff",
        b"\xc0\x74\x32013-03-21T20:04:00Z",
        b"\xd8\x20\x76http://www.example.com",
        b"\x40",
        b"\x60",
        b"\x62\xc3\xbc",
        b"\x80",
        b"\x83\x01\x82\x02\x03\x82\x04\x05",
        b"\xa0",
        b"\xa2\x61a\x01\x61b\x82\x02\x03",
        b"\x5f\x42\x01\x02\x43\x03\x04\x05\xff",
        b"\x7f\x65strea\x64ming\xff",
        b"\x9f\x01\x82\x02\x03\x9f\x04\x05\xff\xff",
        b"\xbf\x61a\x01\x61b\x9f\x02\x03\xff\xff",
    ];
    for item in items {
        assert!(is_valid(item), "{item:02x?}");
        let longer = [item, b"\x00"].concat();
        assert_eq!(item_length(&longer, 8, 100).unwrap(), item.len());
        assert!(!is_valid(&longer), "{longer:02x?}");
        assert!(
            (0..item.len()).all(|end| !is_valid(&item[..end])),
            "{item:02x?}"
        );
    }
}

#[test]
fn items_that_are_not_well_formed_are_refused() {
    // After the classes of RFC 8949, appendix F: reserved heads, simple values below 32 in two
    // bytes, chunks of another type, nested chunks, end marks where none may stand.
    let items: [&[u8]; 32] = [
        b"\x1c",
        b"\x1d",
        b"\x1e",
        b"\x3c",
        b"\x5d",
        b"\x7e",
        b"\x9c",
        b"\xbd",
        b"\xde",
        b"\xfc",
        b"\xfd",
        b"\xfe",
        b"\xf8\x00",
        b"\xf8\x18",
        b"\xf8\x1f",
        b"\x5f\x00\xff",
        b"\x5f\x21\xff",
        b"\x5f\x61a\xff",
        b"\x5f\x80\xff",
        b"\x5f\xc0\x41a\xff",
        b"\x5f\xe0\xff",
        b"\x7f\x41a\xff",
        b"\x5f\x5f\x41a\xff\xff",
        b"\x7f\x7f\x61a\xff\xff",
        b"\xff",
        b"\x81\xff",
        b"\x82\x00\xff",
        b"\xa1\xff",
        b"\xa1\x00\xff",
        b"\x9f\x81\xff",
        b"\xbf\x00\xff",
        b"\xc0\xff",
    ];
    for item in items {
        assert_eq!(
            kind(item, 64, 1000),
            Some(ErrorKind::Invalid),
            "{item:02x?}"
        );
    }
    for head in [b"\x1f", b"\x3f", b"\xdf"] {
        assert!(!is_valid(&[head, &b"\x00\xff"[..]].concat()), "{head:02x?}");
    }
    assert!(!is_valid(b""));
    // A text, whole or in chunks, is UTF-8; no character is cut in two by a chunk.
    assert!(!is_valid(b"\x61\xc3"));
    assert!(!is_valid(b"\x7f\x61\xc3\x61\xbc\xff"));
}

#[test]
fn lengths_beyond_the_bytes_are_refused() {
    for head in [0x5b, 0x7b, 0x9b, 0xbb_u8] {
        for length in [2, 1 << 31, 1 << 60, u64::MAX] {
            let item = [&[head][..], &length.to_be_bytes(), b"\x00"].concat();
            let kind = kind(&item, 64, usize::MAX);
            assert_eq!(kind, Some(ErrorKind::Invalid), "{head:x} of {length}");
        }
    }
}

#[test]
fn the_bound_on_depth_is_exact() {
    let openings: [&[u8]; 5] = [b"\x81", b"\x9f", b"\xc1", b"\xa1\x00", b"\xbf\x00"];
    for opening in openings {
        let ends = matches!(opening[0], 0x9f | 0xbf);
        let item = |depth: usize| {
            let end = if ends { vec![0xff; depth] } else { Vec::new() };
            [opening.repeat(depth), vec![0], end].concat()
        };
        for depth in [0, 1, 5, MAX_CBOR_DEPTH] {
            assert_eq!(kind(&item(depth), depth, 10), None, "{opening:x?} {depth}");
            let deeper = kind(&item(depth + 1), depth, 10);
            assert_eq!(deeper, Some(ErrorKind::TooLarge), "{opening:x?} {depth}");
        }
        // No stack of ours grows with what the bytes say, even if the caller's bound is lax.
        let deepest = kind(&item(1_000_000), usize::MAX, 10);
        assert_eq!(deepest, Some(ErrorKind::TooLarge));
    }
    // An empty container is one level too; a string in chunks as well.
    assert_eq!(kind(b"\x80", 0, 10), Some(ErrorKind::TooLarge));
    assert_eq!(kind(b"\x5f\xff", 0, 10), Some(ErrorKind::TooLarge));
    assert_eq!(kind(b"\x82\x80\xa0", 2, 10), None);
}

#[test]
fn the_bound_on_items_is_exact() {
    let containers: [(&[u8], usize, &[u8]); 5] = [
        (b"\x83", 3, b""),
        (b"\x9f", 3, b"\xff"),
        (b"\xa3", 6, b""),
        (b"\xbf", 6, b"\xff"),
        (b"\x81\x83", 3, b""),
    ];
    for (head, zeros, end) in containers {
        let item = [head, &vec![0; zeros], end].concat();
        assert_eq!(kind(&item, 8, 3), None, "{item:x?}");
        assert_eq!(kind(&item, 8, 2), Some(ErrorKind::TooLarge), "{item:x?}");
    }
}

#[test]
fn the_bound_on_chunks_is_exact_and_that_of_items_is_none() {
    for (head, chunk) in [(0x5f, &b"\x40"[..]), (0x7f, b"\x61a")] {
        let item = |chunks| [&[head], &chunk.repeat(chunks)[..], b"\xff"].concat();
        assert_eq!(kind(&item(MAX_STRING_CHUNKS), 8, usize::MAX), None);
        let beyond = kind(&item(MAX_STRING_CHUNKS + 1), 8, usize::MAX);
        assert_eq!(beyond, Some(ErrorKind::TooLarge));
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        "\\PC{0,20}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(8, 64, 8, |inner| {
        let entries = vec((inner.clone(), inner.clone()), 0..8);
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::Array),
            entries.prop_map(Value::Map),
            (7..1000_u64, inner).prop_map(|(tag, inner)| Value::Tag(tag, Box::new(inner))),
        ]
    })
}

fn depth(value: &Value) -> usize {
    let deepest =
        |values: &mut dyn Iterator<Item = &Value>| 1 + values.map(depth).max().unwrap_or(0);
    match value {
        Value::Array(items) => deepest(&mut items.iter()),
        Value::Map(entries) => deepest(&mut entries.iter().flat_map(|(key, value)| [key, value])),
        Value::Tag(_, inner) => 1 + depth(inner),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn what_ciborium_writes_passes_at_its_depth(value in any_value()) {
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        let depth = depth(&value);
        prop_assert_eq!(kind(&bytes, depth, 8), None);
        if depth > 0 {
            prop_assert_eq!(kind(&bytes, depth - 1, 8), Some(ErrorKind::TooLarge));
        }
        for end in 0..bytes.len() {
            prop_assert!(!is_valid(&bytes[..end]));
        }
    }

    #[test]
    fn what_ciborium_reads_from_garbage_passes(bytes in vec(any::<u8>(), 1..40)) {
        // Of a simple value below 32 in two bytes ciborium makes something; it is not well-formed.
        prop_assume!(!bytes.windows(2).any(|pair| pair[0] == 0xf8 && pair[1] < 32));
        let mut rest = &bytes[..];
        if ciborium::from_reader::<Value, _>(&mut rest).is_ok() {
            let read = &bytes[..bytes.len() - rest.len()];
            prop_assert!(is_valid(read), "{read:02x?}");
        }
    }
}
