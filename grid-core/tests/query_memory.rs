//! Asking a filter or an order allocates nothing, whatever the values are.

mod counting;

use counting::asked;
use grid_core::Key;
use grid_core::query::{Fields, GuardedFilter, Order, Path, field};

#[test]
fn a_compiled_filter_allocates_nothing() {
    let filters = [
        field("done")
            .eq(false)
            .and(field("priority").between(1..=9)),
        !field("title")
            .contains("aab")
            .or(field("title").starts_with("x")),
        field(["a", "b"])
            .one_of([1, 2, 3])
            .or(field("tags").contains("red")),
        field(Path::value()).exists().and(field("big").lt(1.5)),
    ];
    let nested = [vec![0x9f; 60], vec![0xff; 60]].concat();
    let values: [&[u8]; 6] = [
        b"\xa3\x64done\xf4\x68priority\x02\x65title\x7f\x62aa\x61b\xff",
        b"\xbf\x61a\xbf\x61b\x03\xff\x64tags\x82\x61x\x63red\xff",
        b"\xd9\xd9\xf7\xa1\x63big\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00",
        b"garbage",
        b"",
        &nested,
    ];
    let key = Key::new("k").unwrap();
    let compiled = filters.map(|filter| filter.compile().unwrap());
    let mut matched = 0;
    let calls = asked(|| {
        for filter in &compiled {
            matched += values
                .iter()
                .filter(|value| filter.matches(&key, value))
                .count();
        }
    });
    assert_eq!(calls.calls, 0);
    assert!(
        matched >= compiled.len(),
        "each matches something: {matched}"
    );
}

#[test]
fn a_rule_allocates_nothing_and_fields_no_more_than_their_longest_key() {
    let rule = field("owner").eq("ann").and(field(Path::key()).ne("x"));
    let question = field("done").is_null_or_missing();
    let guarded = GuardedFilter::new(
        question.compile().unwrap(),
        Some(rule.compile_rule().unwrap().into()),
    );
    let paths = ["owner", "done", "due"].map(Path::from);
    let fields = Fields::new(&paths).unwrap();
    let key = Key::new("k").unwrap();
    let value = b"\xa3\x65owner\x7f\x61a\x62nn\xff\x63due\x01\x64name\x61x";
    let mut matched = false;
    let calls = asked(|| matched = guarded.matches(&key, value));
    assert_eq!(calls.calls, 0);
    assert!(matched);
    let mut told = 0;
    let calls = asked(|| fields.visit(&key, value, |_, _| told += 1));
    assert!(calls.calls <= 2, "{} allocations", calls.calls);
    assert_eq!(told, paths.len());
}

#[test]
fn comparing_two_entries_allocates_nothing() {
    let order = Order::by_key().ascending("a").descending(["b", "c"]);
    let order = order.compile().unwrap();
    let keys = ["x", "y"].map(|key| Key::new(key).unwrap());
    let values: [&[u8]; 4] = [
        b"\xa2\x61a\x7f\x61x\x61y\xff\x61b\xa1\x61c\x01",
        b"\xa2\x61a\x62xy\x61b\xa1\x61c\xf9\x3c\x00",
        b"\xa1\x61a\x62xz",
        b"garbage",
    ];
    let mut less = 0;
    let calls = asked(|| {
        for (a, b) in values.iter().zip(&values[1..]) {
            less += usize::from(order.compare((&keys[0], a), (&keys[1], b)).is_lt());
        }
    });
    assert_eq!(calls.calls, 0);
    assert_eq!(
        less, 2,
        "the keys decide the first, the field the second, the third is missing"
    );
}
