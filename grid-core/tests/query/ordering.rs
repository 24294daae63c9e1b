//! Orders against the reference, and their keys against both.

use std::cmp::Ordering;

use bytes::Bytes;
use grid_core::limits::ORDER_PREFIX_BYTES;
use grid_core::query::{Direction, Order, OrderKey, PageCursor, Path};
use grid_core::{ErrorKind, Key};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::document::{Document, documents, leaves};
use crate::filters::paths;
use crate::reference::{self, Plain};

fn rank(field: Option<&Plain>) -> usize {
    match field {
        None => 0,
        Some(Plain::Null) => 1,
        Some(Plain::Bool(_)) => 2,
        Some(Plain::NotANumber) => 3,
        Some(Plain::Doubled(_)) => 4,
        Some(Plain::Text(_)) => 5,
        Some(Plain::Bytes(_)) => 6,
        Some(Plain::Array(_)) => 7,
        Some(Plain::Map) => 8,
        Some(Plain::Simple) => 9,
    }
}

fn wanted(order: &Order, a: (&Key, &Document), b: (&Key, &Document)) -> Ordering {
    for (path, direction) in order.fields() {
        let [x, y] = [a, b].map(|(key, document)| reference::field(key.as_str(), document, path));
        let within = match (&x, &y) {
            (Some(x), Some(y)) => reference::compare(x, y),
            _ => None,
        };
        let by_rank = rank(x.as_ref()).cmp(&rank(y.as_ref()));
        let found = by_rank.then(within.unwrap_or(Ordering::Equal));
        let found = match direction {
            Direction::Ascending => found,
            Direction::Descending => found.reverse(),
            other => panic!("the generator has no {other:?}"),
        };
        if found.is_ne() {
            return found;
        }
    }
    a.0.as_str().cmp(b.0.as_str())
}

fn directions() -> impl Strategy<Value = Direction> {
    prop::sample::select(vec![Direction::Ascending, Direction::Descending])
}

pub(crate) fn orders() -> impl Strategy<Value = Order> {
    vec((paths(), directions()), 0..4).prop_map(|fields| {
        fields
            .into_iter()
            .fold(Order::by_key(), |order, (path, direction)| {
                order.then(path, direction)
            })
    })
}

fn keys() -> impl Strategy<Value = Key> {
    prop::sample::select(vec!["a", "b", "ab", "\u{1}", "é"]).prop_map(|key| Key::new(key).unwrap())
}

/// Holds the order of two entries against the reference, both ways round.
fn check(order: &Order, a: (&Key, &Document), b: (&Key, &Document)) -> Result<(), TestCaseError> {
    let wanted = wanted(order, a, b);
    let order = order.compile().unwrap();
    let (x, y) = (a.1.encode(), b.1.encode());
    prop_assert_eq!(
        order.compare((a.0, &x), (b.0, &y)),
        wanted,
        "{:?} {:?}",
        a,
        b
    );
    prop_assert_eq!(order.compare((b.0, &y), (a.0, &x)), wanted.reverse());
    let (x, y) = (order.key(a.0, &x), order.key(b.0, &y));
    prop_assert_eq!(x.cmp(&y), wanted, "{:?} {:?} of {:?} {:?}", x, y, a, b);
    prop_assert_eq!(x.as_bytes().cmp(y.as_bytes()), wanted);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn entries_and_their_keys_compare_as_the_reference_does(
        order in orders(), a in (keys(), documents()), b in (keys(), documents()),
    ) {
        check(&order, (&a.0, &a.1), (&b.0, &b.1))?;
    }

    /// Every value beside every other, with what follows it told apart from what ends it.
    #[test]
    fn fields_and_their_keys_compare_as_the_reference_does(
        values in vec((leaves(), leaves()), 16), first in directions(), second in directions(),
    ) {
        let name = |name: &str| Document::Text(vec![name.to_owned()]);
        let document = |(x, y): (Document, Document)| {
            Document::Map(vec![(name("x"), x), (name("y"), y)], true)
        };
        let order = Order::by_key().then("x", first).then("y", second);
        let documents: Vec<Document> = values.into_iter().map(document).collect();
        let (low, high) = (Key::new("a").unwrap(), Key::new("b").unwrap());
        for a in &documents {
            for b in &documents {
                check(&order, (&low, a), (&high, b))?;
            }
        }
    }

    /// Pages that start after the last one's cursor have every entry once, in order, though
    /// entries come and go between.
    #[test]
    fn pages_have_every_entry_once(
        order in orders(), entries in vec(documents(), 1..20), page in 1..6_usize, gone: u8,
    ) {
        let entries: Vec<(Key, Vec<u8>)> = entries
            .iter()
            .enumerate()
            .map(|(index, document)| (Key::new(&format!("k{index}")).unwrap(), document.encode()))
            .collect();
        let compiled = order.compile().unwrap();
        let mut index: Vec<OrderKey> =
            entries.iter().map(|(key, value)| compiled.key(key, value)).collect();
        index.sort();
        let mut read = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        let mut left = index.clone();
        loop {
            let is_next = |key: &&OrderKey| {
                after.as_ref().is_none_or(|after| key.as_bytes() > &after[..])
            };
            let next: Vec<OrderKey> = left.iter().filter(is_next).take(page).cloned().collect();
            let Some(last) = next.last() else { break };
            let cursor = compiled.cursor(last).as_bytes().clone();
            // The entry of the cursor itself may be gone when the next page is read.
            if gone % 2 == 0 {
                left.retain(|key| key != last);
            }
            let cursor = PageCursor::from_bytes(cursor).unwrap();
            after = Some(compiled.position(&cursor).unwrap().to_vec());
            read.extend(next);
        }
        prop_assert_eq!(read, index);
    }

    #[test]
    fn a_cursor_of_another_order_is_refused(a in orders(), b in orders(), key in keys()) {
        let (x, y) = (a.compile().unwrap(), b.compile().unwrap());
        let cursor = x.cursor(&x.key(&key, b"\xa0"));
        prop_assert_eq!(y.position(&cursor).is_ok(), a == b);
    }
}

#[test]
fn the_order_of_types_is_that_of_the_docs() {
    // Missing, null, false, true, NaN, numbers, texts, bytes, arrays, maps, simple values.
    let ascending: [&[u8]; 14] = [
        b"\xa0",
        b"\xa1\x61a\xf6",
        b"\xa1\x61a\xf4",
        b"\xa1\x61a\xf5",
        b"\xa1\x61a\xf9\x7e\x00",
        b"\xa1\x61a\xf9\xfc\x00",
        b"\xa1\x61a\x00",
        b"\xa1\x61a\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x61a\x60",
        b"\xa1\x61a\x61a",
        b"\xa1\x61a\x40",
        b"\xa1\x61a\x80",
        b"\xa1\x61a\xa0",
        b"\xa1\x61a\xf0",
    ];
    let key = Key::new("k").unwrap();
    let up = Order::by_key().ascending("a").compile().unwrap();
    let down = Order::by_key().descending("a").compile().unwrap();
    for pair in ascending.windows(2) {
        assert!(up.key(&key, pair[0]) < up.key(&key, pair[1]), "{pair:02x?}");
        assert!(
            down.key(&key, pair[0]) > down.key(&key, pair[1]),
            "{pair:02x?}"
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A cursor outlives the program that made it, so its bytes are fixed.
#[test]
fn positions_and_cursors_are_written_as_ever() {
    let key = Key::new("t1").unwrap();
    let value = b"\xa4\x61n\x01\x61t\x62a\x00\x61b\xf5\x61i\x1b\x00\x20\x00\x00\x00\x00\x00\x01";
    let (number, text) = ("04bff00000000000000000", "056100ff0000");
    let inverted = "fb400fffffffffffffffff";
    for (order, fingerprint, position) in [
        (Order::by_key(), "2d06800538d394c2", "7431".to_owned()),
        (
            Order::by_key().ascending("n"),
            "8f899bac29f36ef4",
            format!("{number}7431"),
        ),
        (
            Order::by_key().descending("n"),
            "8703b4d9f11de718",
            format!("{inverted}7431"),
        ),
        (
            Order::by_key().ascending("t").ascending("b").ascending("x"),
            "3f1cb031cb9b8289",
            format!("{text}0201007431"),
        ),
        (
            Order::by_key().ascending("i"),
            "bfac76c7b94f6147",
            "04c34000000000000000017431".to_owned(),
        ),
        (
            Order::by_key().descending(Path::key()),
            "53cc2d1a78923a41",
            "fa8bceffff".to_owned(),
        ),
    ] {
        let order = order.compile().unwrap();
        let place = order.key(&key, value);
        assert_eq!(hex(place.as_bytes()), position);
        let cursor = order.cursor(&place);
        assert_eq!(hex(cursor.as_bytes()), format!("01{fingerprint}{position}"));
        let shown = format!("PageCursor(order {fingerprint}, after {position})");
        assert_eq!(format!("{cursor:?}"), shown);
    }
}

#[test]
fn what_cannot_decide_any_more_is_left_out_of_an_order() {
    let order = Order::by_key()
        .ascending("a")
        .descending("a")
        .ascending("b");
    assert_eq!(order, Order::by_key().ascending("a").ascending("b"));
    let by_key = Order::by_key().descending(Path::key());
    assert_eq!(by_key.clone().ascending("a"), by_key);
}

#[test]
fn of_long_texts_the_front_counts() {
    let order = Order::by_key().ascending(Path::value()).compile().unwrap();
    let text = |length: usize, end: &str| {
        Document::Text(vec!["x".repeat(length - 1), end.to_owned()]).encode()
    };
    let (low, high) = (Key::new("a").unwrap(), Key::new("b").unwrap());
    let within = [text(ORDER_PREFIX_BYTES, "z"), text(ORDER_PREFIX_BYTES, "y")];
    let beyond = [
        text(ORDER_PREFIX_BYTES + 1, "z"),
        text(ORDER_PREFIX_BYTES + 1, "y"),
    ];
    for (values, wanted) in [(within, Ordering::Greater), (beyond, Ordering::Less)] {
        let [a, b] = &values;
        assert_eq!(order.compare((&low, a), (&high, b)), wanted);
        assert_eq!(order.key(&low, a).cmp(&order.key(&high, b)), wanted);
    }
    let longest = order.key(&low, &text(100_000, "z"));
    assert!(longest.as_bytes().len() < ORDER_PREFIX_BYTES + 10);
}

#[test]
fn cursors_that_are_none_are_refused() {
    let order = Order::by_key().compile().unwrap();
    let read = |bytes: &'static [u8]| {
        let cursor = PageCursor::from_bytes(Bytes::from_static(bytes)).unwrap();
        order.position(&cursor).unwrap_err()
    };
    assert!(read(b"").message().contains("empty"));
    assert!(read(b"\x02abcdefgh").message().contains("version"));
    assert!(read(b"\x01abc").message().contains("another order"));
    let long = PageCursor::from_bytes(vec![1; 100_000].into()).unwrap_err();
    assert_eq!(long.kind(), ErrorKind::TooLarge);
}

#[test]
fn the_longest_position_fits_a_cursor_and_one_more_field_is_refused() {
    let zeros = Document::Text(vec!["\0".repeat(2 * ORDER_PREFIX_BYTES)]);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let entry = |name: &str| (Document::Text(vec![name.to_owned()]), zeros.clone());
    let value = Document::Map(names.iter().map(|name| entry(name)).collect(), true).encode();
    let order = names
        .iter()
        .fold(Order::by_key(), |order, name| order.descending(*name));
    let compiled = order.compile().unwrap();
    let position = compiled.key(&Key::new(&"k".repeat(512)).unwrap(), &value);
    let cursor = PageCursor::from_bytes(compiled.cursor(&position).as_bytes().clone()).unwrap();
    assert_eq!(compiled.position(&cursor).unwrap(), position.as_bytes());
    let error = order.ascending("i").compile().unwrap_err();
    assert!(error.message().contains("9 fields"), "{error}");
}
