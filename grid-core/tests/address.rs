//! Keys, names and placement: bounds, any UTF-8, and where a key falls.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use bytes::Bytes;
use grid_core::address::Placement;
use grid_core::limits::{MAX_KEY_BYTES, MAX_MAP_NAME_BYTES, MAX_NAMESPACE_BYTES};
use grid_core::{ErrorKind, Key, MapAddress, MapName, Namespace, PartitionId};
use proptest::prelude::*;

fn address(namespace: &str, map: &str) -> MapAddress {
    MapAddress {
        namespace: Namespace::new(namespace).unwrap(),
        map: MapName::new(map).unwrap(),
    }
}

#[test]
fn the_bounds_are_bytes_and_both_ends_are_inside() {
    type Make = fn(&str) -> Result<(), ErrorKind>;
    let makers: [(Make, usize); 4] = [
        (
            |t| Key::new(t).map(drop).map_err(|e| e.kind()),
            MAX_KEY_BYTES,
        ),
        (
            |t| {
                let bytes = Bytes::copy_from_slice(t.as_bytes());
                Key::from_bytes(bytes).map(drop).map_err(|e| e.kind())
            },
            MAX_KEY_BYTES,
        ),
        (
            |t| MapName::new(t).map(drop).map_err(|e| e.kind()),
            MAX_MAP_NAME_BYTES,
        ),
        (
            |t| Namespace::new(t).map(drop).map_err(|e| e.kind()),
            MAX_NAMESPACE_BYTES,
        ),
    ];
    for (make, max) in makers {
        assert_eq!(make(""), Err(ErrorKind::Invalid));
        assert_eq!(make("a"), Ok(()));
        assert_eq!(make(&"a".repeat(max)), Ok(()));
        assert_eq!(make(&"a".repeat(max + 1)), Err(ErrorKind::TooLarge));
        // Two bytes a letter: the bound counts bytes, not letters.
        assert_eq!(make(&"ä".repeat(max / 2)), Ok(()));
        assert_eq!(make(&"ä".repeat(max / 2 + 1)), Err(ErrorKind::TooLarge));
        for text in ["\0", "a\0", "\0a", "a\0b"] {
            assert_eq!(make(text), Err(ErrorKind::Invalid), "{text:?}");
        }
        for text in [
            "a-b", "a'b", "a\"b", "a b", "%", ";--", "\u{1}", "\n", "🦀", "/", "$x", "ﷺ",
        ] {
            assert_eq!(make(text), Ok(()), "{text:?}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_no_key() {
    for bytes in [
        &b"\xff"[..],
        b"a\xc3",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xc0\x80",
    ] {
        let error = Key::from_bytes(Bytes::copy_from_slice(bytes)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bytes:?}");
    }
}

#[test]
fn the_partition_key_ends_before_the_first_slash() {
    for (key, expected) in [
        ("a", "a"),
        ("a/b", "a"),
        ("a/b/c", "a"),
        ("a/", "a"),
        ("/", ""),
        ("/a", ""),
        ("list 7/ä", "list 7"),
        ("ä∕b", "ä∕b"),
    ] {
        assert_eq!(
            Key::new(key).unwrap().partition_key(),
            expected.as_bytes(),
            "{key}"
        );
    }
}

#[test]
fn a_map_and_its_namespace_do_not_run_together() {
    let count = 4096;
    let first = |address| {
        Placement::new(&address, 1, count)
            .partitions()
            .next()
            .unwrap()
    };
    assert_ne!(first(address("a", "bc")), first(address("ab", "c")));
    assert_eq!(Namespace::default().as_str(), "default");
    assert!(MapName::new("$maps").unwrap().is_system());
    assert!(!MapName::new("maps$").unwrap().is_system());
}

#[test]
fn keys_spread_evenly_over_the_partitions_of_their_map() {
    let placement = Placement::new(&address("default", "todos"), 8, 271);
    let mut counts = std::collections::BTreeMap::new();
    for number in 0..8_000 {
        let key = Key::new(&format!("key-{number}")).unwrap();
        *counts.entry(placement.partition(&key)).or_insert(0_u32) += 1;
    }
    assert_eq!(counts.len(), 8);
    assert!(
        counts.values().all(|count| (850..1150).contains(count)),
        "{counts:?}"
    );
}

proptest! {
    #[test]
    fn any_text_within_the_bounds_is_a_key_and_sorts_by_its_bytes(
        a in "[^\0]{1,128}",
        b in "[^\0]{1,4}",
    ) {
        let (left, right) = (Key::new(&a).unwrap(), Key::new(&b).unwrap());
        prop_assert_eq!(left.as_str(), &a);
        prop_assert_eq!(&left.to_string(), &a);
        prop_assert_eq!(&Key::from_bytes(left.bytes().clone()).unwrap(), &left);
        prop_assert_eq!(left.cmp(&right), a.as_bytes().cmp(b.as_bytes()));
        MapName::new(b.as_str()).unwrap();
    }

    #[test]
    fn any_bytes_are_a_key_exactly_when_they_are_text_within_the_bounds(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..128], 0..8),
    ) {
        let good = !bytes.is_empty() && !bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok();
        prop_assert_eq!(Key::from_bytes(Bytes::from(bytes)).is_ok(), good);
    }

    #[test]
    fn a_key_falls_onto_a_partition_of_its_map(
        map in "[a-z]{1,6}",
        key in "[a-z]{1,3}(/[a-z]{1,3})?",
        spread in 1_u16..=400,
        count in 1_u16..=400,
    ) {
        let placement = Placement::new(&address("default", &map), spread, count);
        let partitions: Vec<PartitionId> = placement.partitions().collect();
        let distinct: BTreeSet<_> = partitions.iter().collect();
        prop_assert_eq!(partitions.len(), usize::from(spread.min(count)));
        prop_assert_eq!(distinct.len(), partitions.len(), "no partition twice");
        prop_assert!(partitions.iter().all(|partition| partition.0 < count));
        // Consecutive, wrapping at the count.
        for pair in partitions.windows(2) {
            prop_assert_eq!(pair[1].0, (pair[0].0 + 1) % count);
        }
        let key = Key::new(&key).unwrap();
        let partition = placement.partition(&key);
        prop_assert!(partitions.contains(&partition));
        // Related keys live together.
        let related = format!("{}/other", std::str::from_utf8(key.partition_key()).unwrap());
        prop_assert_eq!(placement.partition(&Key::new(&related).unwrap()), partition);
    }
}
