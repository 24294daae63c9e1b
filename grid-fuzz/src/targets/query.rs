//! Queries that a peer sends, and the values that they are asked of.

use bytes::{Bytes, BytesMut};
use grid_core::query::{
    CompiledFilter, CompiledOrder, Fields, Filter, GuardedFilter, OrderKey, PageCursor, Path,
    Query, check_names, field,
};
use grid_core::{ErrorKind, Key};

use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "query",
    promise: "a query is refused or is one that comes back the same; asked of any bytes it and its \
              opposite disagree, its cover finds what it takes, and order keys compare as entries \
              do",
    run,
    seeds,
};

/// The query and two values, each with its length in two bytes before it.
fn run(data: &[u8]) {
    let mut rest = data;
    let [query, a, b] = [part(&mut rest), part(&mut rest), part(&mut rest)];
    let encoded = Bytes::copy_from_slice(query);
    let query = match Query::decode(&encoded) {
        Ok(query) => query,
        Err(error) => {
            let kinds = [
                ErrorKind::Protocol,
                ErrorKind::TooLarge,
                ErrorKind::Unsupported,
            ];
            assert!(kinds.contains(&error.kind()), "{error}");
            return;
        }
    };
    let mut again = BytesMut::new();
    query
        .encode(&mut again)
        .expect("what was read is within bounds");
    assert_eq!(again, encoded, "one query has one encoding");
    check_normalized(&query);
    let key = Key::new("a/1").expect("a good key");
    for value in [a, b] {
        check_filter(&query.filter, &key, value);
    }
    check_order(&query, &key, [a, b]);
    if let Ok(cursor) = PageCursor::from_bytes(Bytes::copy_from_slice(b))
        && let Err(error) = compiled_order(&query).position(&cursor)
    {
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

/// What a length in two bytes says, or all that is left.
fn part<'d>(rest: &mut &'d [u8]) -> &'d [u8] {
    let Some((length, after)) = rest.split_first_chunk() else {
        return std::mem::take(rest);
    };
    let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
    let (part, after) = after.split_at(length);
    *rest = after;
    part
}

fn compiled(filter: &Filter) -> CompiledFilter {
    filter.compile().expect("within bounds")
}

fn compiled_order(query: &Query) -> CompiledOrder {
    query.order.compile().expect("within bounds")
}

fn check_normalized(query: &Query) {
    let normalized = query.filter.normalized();
    assert_eq!(normalized.normalized(), normalized);
    let mut same = query.clone();
    same.filter = normalized;
    let [one, other] = [query, &same].map(|query| query.id().expect("within bounds"));
    assert_eq!(one, other);
}

fn check_filter(filter: &Filter, key: &Key, value: &[u8]) {
    let asked = compiled(filter);
    let matches = asked.matches(key, value);
    assert_eq!(compiled(&filter.normalized()).matches(key, value), matches);
    if let Ok(opposite) = (!filter.clone()).compile() {
        assert_ne!(opposite.matches(key, value), matches);
    }
    if let Some(cover) = filter.cover()
        && matches
    {
        let fields = Fields::new(cover.iter().map(|(path, _)| path)).expect("paths of a query");
        let mut covered = false;
        fields.visit(key, value, |slot, key| {
            covered |= cover.contains(&fields.paths()[slot], key);
        });
        assert!(covered, "an index would not find what matches");
    }
    if let Ok(rule) = filter.compile_rule() {
        let granted = rule.grants(key, value);
        assert!(
            matches || !granted,
            "a rule grants what its filter does not take"
        );
        if check_names(value).is_ok() {
            assert_eq!(granted, matches, "every reader finds the same fields");
        }
        let guarded = GuardedFilter::new(asked, Some(rule.into()));
        assert_eq!(guarded.matches(key, value), granted);
    }
}

fn check_order(query: &Query, key: &Key, [a, b]: [&[u8]; 2]) {
    let order = compiled_order(query);
    let other = Key::new("a/2").expect("a good key");
    let places: [OrderKey; 2] = [order.key(key, a), order.key(&other, b)];
    let wanted = order.compare((key, a), (&other, b));
    assert!(wanted.is_ne(), "no two entries stand at one place");
    assert_eq!(places[0].cmp(&places[1]), wanted);
    let cursor = order.cursor(&places[0]).as_bytes().clone();
    let cursor = PageCursor::from_bytes(cursor).expect("a cursor of ours");
    let position = order.position(&cursor).expect("a cursor of this order");
    assert_eq!(position, places[0].as_bytes());
}

fn seeds() -> Vec<Seed> {
    let a = || field("a");
    let values: [&[u8]; 3] = [
        b"\xa3\x61a\x18\x2a\x61b\xa1\x61a\xf6\x64tags\x82\x63red\x01",
        b"\xbf\x7f\x61a\x60\xff\xf9\x3c\x00\x61a\x02\x61b\xc1\x9f\x62ab\xff\xff",
        b"\xa2\x61a\x64text\x61b\xfb\x43\x40\x00\x00\x00\x00\x00\x00",
    ];
    let queries = [
        ("all", Query::all()),
        (
            "ordered",
            Query::from(a().eq(1).and(!field("b").lt(2.5)))
                .descending("a")
                .ascending(["b", "a"])
                .limit(7),
        ),
        (
            "tests",
            a().one_of(["x", "text"])
                .or(a().between(0..=50))
                .or(field("tags").contains("red").and(a().starts_with("te")))
                .into(),
        ),
        (
            "missing",
            Query::from(a().is_null_or_missing().or(field(["b", "a"]).exists()))
                .descending(Path::key()),
        ),
        (
            "rule",
            a().ne(&b"bytes"[..])
                .and(a().exists())
                .and(field("b").gt(None::<u8>))
                .into(),
        ),
    ];
    let seed = |(name, query): (&str, Query)| {
        let mut encoded = BytesMut::new();
        query.encode(&mut encoded).expect("a good query");
        let mut bytes = Vec::new();
        for part in [
            &encoded[..],
            values[name.len() % 3],
            values[(name.len() + 1) % 3],
        ] {
            let length = u16::try_from(part.len()).expect("seeds are short");
            bytes.extend(length.to_le_bytes());
            bytes.extend(part);
        }
        Seed::new(name, bytes)
    };
    queries.into_iter().map(seed).collect()
}
