//! Queries in text: what they are read as, where a fault lies, and that what is written is read.

use grid_core::ErrorKind;
use grid_core::limits::{MAX_FILTER_DEPTH, MAX_QUERY_TEXT_BYTES, MAX_QUERY_TEXT_NESTING};
use grid_core::query::{Filter, Literal, Order, Path, Query, Test, field};
use proptest::prelude::*;

use crate::filters::{filters, paths};
use crate::ordering::orders;

fn filter(text: &str) -> Filter {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn fault(text: &str) -> String {
    let error = text.parse::<Query>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{text}: {error}");
    error.message().to_owned()
}

#[test]
fn filters_are_read_in_every_spelling() {
    let a = || field("a");
    for (text, wanted) in [
        ("a = 1", a().eq(1)),
        ("a==1", a().eq(1)),
        ("a != -1", a().ne(-1)),
        ("a <> 1.5", a().ne(1.5)),
        ("a < 1e3", a().lt(1000.0)),
        ("a <= -0.0", a().le(-0.0)),
        ("a > -inf", a().gt(f64::NEG_INFINITY)),
        ("a >= INF", a().ge(f64::INFINITY)),
        ("a = nan", a().eq(f64::NAN)),
        ("a = null", a().eq(Literal::Null)),
        ("a = 18446744073709551615", a().eq(u64::MAX)),
        (r#"a = "x \"y\" \\ \n\u{e9}""#, a().eq("x \"y\" \\ \né")),
        ("a = h'00Ff'", a().eq(&[0_u8, 255])),
        ("a = h''", a().eq(&[0_u8; 0])),
        ("h = 1", field("h").eq(1)),
        ("a in 1..5", a().between(1..5)),
        ("a in 1 ..= 5", a().between(1..=5)),
        ("a in 1.5..2.5", a().between(1.5..2.5)),
        ("a in ()", a().one_of([0; 0])),
        ("a IN (1, 2)", a().one_of([1, 2])),
        ("a not in (1)", !a().one_of([1])),
        (r#"a contains "x""#, a().contains("x")),
        (r#"a starts_with "x""#, a().starts_with("x")),
        (r#"a not starts_with "x""#, !a().starts_with("x")),
        ("a exists", a().exists()),
        ("a not exists", !a().exists()),
        ("a is none", a().is_null_or_missing()),
        ("a is not none", !a().is_null_or_missing()),
        ("not a exists", !a().exists()),
        ("! a exists", !a().exists()),
        ("a.b . c exists", field(["a", "b", "c"]).exists()),
        ("`a.b`.`` exists", field(["a.b", ""]).exists()),
        (r"`\`not` exists", field("`not").exists()),
        ("key() = \"x\"", field(Path::key()).eq("x")),
        ("key = 1", field("key").eq(1)),
        ("value() > 1", field(Path::value()).gt(1)),
        ("value().a > 1", a().gt(1)),
        ("all", Filter::all()),
        (" none ", Filter::none()),
        ("in in (1)", field("in").one_of([1])),
        ("exists exists", field("exists").exists()),
    ] {
        assert_eq!(filter(text), wanted, "{text}");
    }
    let excluded = filter("a in 1<..=5");
    let Filter::Field {
        test: Test::Range { low, high },
        ..
    } = &excluded
    else {
        panic!("a range: {excluded:?}");
    };
    assert!(!low.inclusive && high.inclusive);
}

#[test]
fn and_binds_closer_than_or_and_not_closer_than_both() {
    let [a, b, c] = ["a", "b", "c"].map(|name| field(name).exists());
    for text in [
        "a exists or b exists and c exists",
        "a exists || (b exists && c exists)",
        "((a exists)) OR b exists AND c exists",
    ] {
        assert_eq!(
            filter(text),
            a.clone().or(b.clone().and(c.clone())),
            "{text}"
        );
    }
    let both = (a.clone().or(b.clone())).and(c);
    assert_eq!(filter("(a exists or b exists) and c exists"), both);
    assert_eq!(
        filter("not a exists and b exists"),
        (!a.clone()).and(b.clone())
    );
    assert_eq!(filter("not (a exists and b exists)"), !a.and(b));
}

#[test]
fn queries_and_orders_are_read() {
    let done = field("done").eq(false);
    let wanted = Query::from(done)
        .descending("due")
        .ascending(["a", "b"])
        .limit(20);
    for text in [
        "where done = false order by due desc, a.b limit 20",
        "WHERE done == false ORDER BY -due, a.b asc LIMIT 20",
    ] {
        assert_eq!(text.parse::<Query>().unwrap(), wanted, "{text}");
    }
    assert_eq!("".parse::<Query>().unwrap(), Query::all());
    assert_eq!("limit 1".parse::<Query>().unwrap(), Query::all().limit(1));
    assert_eq!(Query::all().to_string(), "where all");
    let order: Order = "-due, key() desc".parse().unwrap();
    assert_eq!(
        order,
        Order::by_key().descending("due").descending(Path::key())
    );
}

/// Texts that are no queries, and what is told of each.
const FAULTS: &[(&str, &str)] = &[
    (
        "where",
        "column 6: expected the name of a field, found the end",
    ),
    ("where a", "column 8: expected a comparison"),
    ("where a = ", "column 11: expected a literal"),
    ("where a = ]", "found `]`"),
    (
        "where a = bcd",
        "column 11: expected a literal (`null`, `true`, `false`, a number, \"text\", h'00ff'), found `bcd`",
    ),
    (
        "where é = 1",
        "column 7: expected the name of a field, found `é`",
    ),
    (
        "where `é` = 1 x",
        "column 15: expected `where`, `order by`, `limit` or the end, in this order, found `x`",
    ),
    (
        "where a = 1 and",
        "column 16: expected the name of a field, found the end",
    ),
    (
        "where (a = 1",
        "column 13: expected `and`, `or` or `)`, found the end",
    ),
    (
        "where a in (1 2)",
        "column 15: expected `,` or `)`, found `2`",
    ),
    ("where a in 1", "column 13: expected `..`, `..=` or `<..`"),
    (
        "where a starts_with 1",
        "column 21: expected a text in quotes, found `1`",
    ),
    ("where a is 1", "column 12: expected `none` or `not none`"),
    (
        "where a = \"x",
        "column 13: expected a closing quote, found the end",
    ),
    ("where `a", "column 9: expected a closing backtick"),
    (
        r#"where a = "\x""#,
        "column 13: expected `\"`, `` ` ``, `\\`, `n`, `r`, `t` or `u{…}` after the backslash, found `x`",
    ),
    (r#"where a = "\u{d800}""#, "after the backslash"),
    (
        "where a = h'0'",
        "column 14: expected one more hexadecimal digit, found `'`",
    ),
    (
        "where a = h'0g'",
        "column 14: expected a hexadecimal digit or `'`, found `g`",
    ),
    ("where a = -", "column 12: expected a digit, found the end"),
    (
        "where a = 18446744073709551616",
        "column 11: the number 18446744073709551616 is beyond 64 bits",
    ),
    (
        "where a = 1e999",
        "column 11: the number 1e999 is beyond 64 bits",
    ),
    ("where key().a = 1", "column 13: the key has no fields"),
    ("order a", "column 7: expected `by`, found `a`"),
    ("order by a sideways", "column 12: expected `where`"),
    (
        "limit 0",
        "column 7: expected a number from 1 to 4294967295, found `0`",
    ),
    ("limit 4294967296", "column 7: expected a number"),
    (
        "order by a, b, c, d, e, f, g, h, i",
        "column 34: an order has at most 8 fields",
    ),
];

#[test]
fn a_fault_is_told_with_its_column_and_what_could_stand_there() {
    for (text, wanted) in FAULTS {
        let message = fault(text);
        assert!(message.contains(wanted), "{text}: {message}");
    }
}

#[test]
fn texts_beyond_a_bound_are_refused() {
    let nested = |levels: usize| format!("{}a exists{}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(filter(&nested(MAX_QUERY_TEXT_NESTING)), field("a").exists());
    for levels in [MAX_QUERY_TEXT_NESTING + 1, 100_000] {
        let error = nested(levels).parse::<Filter>().unwrap_err();
        assert!(
            error.message().contains("column 66: nested deeper than 64"),
            "{error}"
        );
    }
    // Those beside each other are not within each other.
    let beside = vec!["(not a exists)"; MAX_QUERY_TEXT_NESTING + 1].join(" or ");
    assert!(beside.parse::<Filter>().is_ok());
    let negated = |levels: usize| format!("{}a exists", "!".repeat(levels));
    assert!(negated(MAX_FILTER_DEPTH).parse::<Filter>().is_ok());
    let error = negated(MAX_FILTER_DEPTH + 1).parse::<Filter>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let long = format!("a = \"{}\"", "x".repeat(MAX_QUERY_TEXT_BYTES));
    let error = long.parse::<Filter>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

/// Parts of texts, in any order.
fn soup() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "where", "order", "by", "limit", "a", "`a b`", ".", "key()", "=", "!=", "!", "(", ")",
        "and", "or", "not", "in", "..", "<..", "1", "-", "1.5", "\"x\"", "\"", "\\", "h'", "00",
        "'", "é", "is", "none", "exists", ",", "desc", "contains",
    ]);
    prop::collection::vec(parts, 0..12).prop_map(|parts| parts.join(" "))
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(
        filter in filters(), order in orders(), limit in prop::option::of(1_u32..),
    ) {
        let mut query = Query::from(filter).order(order);
        query.limit = limit;
        let text = query.to_string();
        let mut read: Query = text.parse().unwrap();
        read.filter = read.filter.normalized();
        query.filter = query.filter.normalized();
        prop_assert_eq!(&read, &query, "{}", text);
        // What was read is written as it stands.
        prop_assert_eq!(read.to_string().parse::<Query>().unwrap(), read);
    }

    #[test]
    fn names_and_texts_come_back(name: String, text: String, path in paths()) {
        let filter = field(path).eq(text.clone()).and(field(&name).starts_with(text));
        prop_assume!(filter.compile().is_ok());
        prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
    }

    #[test]
    fn whatever_the_text_is_it_is_read_or_refused(text in prop_oneof![soup(), any::<String>()]) {
        match text.parse::<Query>() {
            Ok(query) => prop_assert_eq!(query.to_string().parse::<Query>().unwrap(), query),
            Err(error) => prop_assert!(error.message().starts_with("column "), "{}", error),
        }
    }
}
