//! The evaluator against the reference.

use grid_core::Key;
use grid_core::codec::item_length;
use grid_core::limits::{MAX_CBOR_DEPTH, MAX_STRING_CHUNKS};
use grid_core::query::{Filter, Literal, Path, field};
use proptest::prelude::*;

use crate::document::{Document, documents, leaves};
use crate::filters::{filters, paths, tests, value_paths};
use crate::reference::{self, KEY};

fn key() -> Key {
    Key::new(KEY).unwrap()
}

fn ask(filter: &Filter, value: &[u8]) -> bool {
    filter.compile().unwrap().matches(&key(), value)
}

/// One map with `fields`, whose values are CBOR already.
fn map(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut value = vec![0xa0 | u8::try_from(fields.len()).unwrap()];
    for (name, item) in fields {
        value.push(0x60 | u8::try_from(name.len()).unwrap());
        value.extend(name.as_bytes());
        value.extend(*item);
    }
    value
}

#[test]
fn a_missing_field_fails_every_test_but_ne() {
    let value = map(&[("b", b"\xf6")]);
    let a = || field("a");
    for filter in [
        a().eq(Literal::Null),
        a().le(Literal::Null),
        a().lt(1),
        a().between(0..9),
        a().one_of([Literal::Null]),
        a().starts_with(""),
        a().contains(""),
        a().exists(),
        field(["b", "c"]).exists(),
    ] {
        assert!(!ask(&filter, &value), "{filter:?}");
        assert!(ask(&!filter, &value));
    }
    for filter in [a().ne(Literal::Null), a().is_null_or_missing()] {
        assert!(ask(&filter, &value), "{filter:?}");
        assert!(!ask(&!filter, &value));
    }
    assert!(ask(&field("b").is_null_or_missing(), &value));
    assert!(ask(&field("b").exists(), &value));
    assert!(ask(&field("b").le(Literal::Null), &value));
    assert!(!ask(&field("b").lt(1), &value));
}

#[test]
fn nan_is_of_a_type_of_its_own() {
    let value = map(&[("a", b"\xf9\x7e\x01")]);
    let a = || field("a");
    assert!(ask(&a().eq(f64::NAN), &value));
    assert!(ask(&a().ge(-f64::NAN), &value));
    for filter in [
        a().lt(1),
        a().gt(1),
        a().ge(f64::NEG_INFINITY),
        a().le(f64::INFINITY),
    ] {
        assert!(!ask(&filter, &value), "{filter:?}");
    }
}

#[test]
fn the_first_of_several_entries_of_a_name_counts() {
    let value = map(&[("a", b"\x01"), ("a", b"\x02")]);
    assert!(ask(&field("a").eq(1), &value));
    assert!(!ask(&field("a").eq(2), &value));
    // Also when it is no map and the second is one.
    let value = map(&[("a", b"\x01"), ("a", b"\xa1\x61b\x02")]);
    assert!(!ask(&field(["a", "b"]).exists(), &value));
}

#[test]
fn nesting_is_read_as_deep_as_values_may_be() {
    // Fifteen maps down the path, then arrays around a number.
    let path: Path = ["a"; 15].into_iter().collect();
    let at = |arrays: usize| {
        let maps = b"\xa1\x61a".repeat(15);
        [maps, vec![0x81; arrays], vec![0]].concat()
    };
    let exists = field(path).exists();
    assert!(ask(&exists, &at(MAX_CBOR_DEPTH - 15)));
    assert!(!ask(&exists, &at(MAX_CBOR_DEPTH - 14)));
    assert!(!ask(&exists, &at(1_000_000)));
    let tags = [vec![0xc1; 1_000_000], vec![0]].concat();
    assert!(!ask(&field(Path::value()).exists(), &tags));
}

/// A value that is chunks of nothing costs by its bytes, and not by those times the tests.
#[test]
fn a_string_in_more_chunks_than_allowed_is_damage() {
    let chunked = |chunks: usize| {
        let text = [b"\x7f".to_vec(), vec![0x60; chunks], b"\x61x\xff".to_vec()].concat();
        map(&[("a", &text), ("b", b"\x01")])
    };
    let most = chunked(MAX_STRING_CHUNKS - 1);
    assert!(ask(&field("a").eq("x").and(field("b").eq(1)), &most));
    let beyond = chunked(MAX_STRING_CHUNKS);
    assert!(!ask(&field("a").exists().or(field("b").exists()), &beyond));
}

/// Replaces, removes or inserts bytes.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, Option<u8>, bool)>> {
    prop::collection::vec(any::<(prop::sample::Index, Option<u8>, bool)>(), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_filter_takes_what_the_reference_takes(filter in filters(), document in documents()) {
        let value = document.encode();
        prop_assert_eq!(item_length(&value, 64, 100).unwrap(), value.len());
        let wanted = reference::matches(&filter, &document);
        prop_assert_eq!(ask(&filter, &value), wanted, "{:02x?}", value);
        prop_assert_eq!(ask(&!filter, &value), !wanted);
    }

    /// Every test of every value, often enough to meet each edge.
    #[test]
    fn a_test_takes_what_the_reference_takes(
        tests in prop::collection::vec(tests(), 32), values in prop::collection::vec(leaves(), 32),
    ) {
        for test in tests {
            let filter = Filter::Field { path: Path::value(), test };
            let compiled = filter.compile().unwrap();
            for value in &values {
                let wanted = reference::matches(&filter, value);
                let found = compiled.matches(&key(), &value.encode());
                prop_assert_eq!(found, wanted, "{:?} {:?}", filter, value);
            }
        }
    }

    #[test]
    fn a_normalized_filter_takes_the_same(filter in filters(), document in documents()) {
        let value = document.encode();
        let normalized = filter.normalized();
        prop_assert_eq!(ask(&normalized, &value), ask(&filter, &value));
        prop_assert_eq!(normalized.normalized(), normalized);
    }

    #[test]
    fn and_or_and_not_keep_their_laws(a in filters(), b in filters(), document in documents()) {
        let value = document.encode();
        let (x, y) = (ask(&a, &value), ask(&b, &value));
        prop_assert_eq!(ask(&a.clone().and(b.clone()), &value), x && y);
        prop_assert_eq!(ask(&a.clone().or(b.clone()), &value), x || y);
        let neither = !a.clone().or(b.clone());
        prop_assert_eq!(ask(&neither, &value), ask(&(!a).and(!b), &value));
    }

    /// A field is there when everything up to its end is, whatever else the filter asks for.
    #[test]
    fn a_value_that_is_cut_short_has_the_fields_before_the_cut(
        path in value_paths(), other in paths(), document in documents(), cut: prop::sample::Index,
    ) {
        let value = document.encode();
        let cut = cut.index(value.len() + 1);
        let names: Vec<&str> = path.names().collect();
        let ends = end_of(&document, &names);
        let wanted = ends.is_some_and(|end| end <= cut);
        let exists = field(path).exists();
        prop_assert_eq!(ask(&exists, &value[..cut]), wanted);
        // The paths that are looked for beside it change nothing.
        let both = exists.and(field(other).exists().or(Filter::all()));
        prop_assert_eq!(ask(&both, &value[..cut]), wanted);
    }

    /// Whatever the bytes are, each field is there or not, the same for every filter.
    #[test]
    fn damage_is_survived_and_read_alike(
        a in filters(), b in filters(), document in documents(), damage in damage(),
    ) {
        let mut value = document.encode();
        for (index, byte, insert) in damage {
            let index = index.index(value.len() + 1);
            match byte {
                Some(byte) if insert || index == value.len() => value.insert(index, byte),
                Some(byte) => value[index] = byte,
                None if index < value.len() => drop(value.remove(index)),
                None => {}
            }
        }
        let (x, y) = (ask(&a, &value), ask(&b, &value));
        prop_assert_eq!(ask(&a.clone().and(b.clone()), &value), x && y, "{:02x?}", value);
        prop_assert_eq!(ask(&a.or(b), &value), x || y, "{:02x?}", value);
    }

    #[test]
    fn bytes_that_are_no_cbor_are_survived(filter in filters(), value: Vec<u8>) {
        prop_assert_ne!(ask(&filter, &value), ask(&!filter, &value));
    }
}

/// Where in the encoding the field that `names` lead to ends.
fn end_of(document: &Document, names: &[&str]) -> Option<usize> {
    let whole = document.encode();
    match (document, names) {
        (Document::Tag(_, inner), [_, ..]) => {
            let head = whole.len() - inner.encode().len();
            Some(head + end_of(inner, names)?)
        }
        (_, []) => Some(whole.len()),
        (Document::Map(entries, declared), [name, others @ ..]) => {
            let entry = |(key, item): &(Document, Document)| [key.encode(), item.encode()].concat();
            let all: usize = entries.iter().map(|both| entry(both).len()).sum();
            let mut offset = whole.len() - all - usize::from(!declared);
            for both in entries {
                if matches!(&both.0, Document::Text(parts) if parts.concat() == *name) {
                    return Some(offset + both.0.encode().len() + end_of(&both.1, others)?);
                }
                offset += entry(both).len();
            }
            None
        }
        _ => None,
    }
}
