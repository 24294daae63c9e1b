//! Asking a filter allocates nothing, whatever it asks and whatever the value is.

mod counting;

use counting::asked;
use grid_core::query::{Path, field};

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
    let compiled = filters.map(|filter| filter.compile().unwrap());
    let mut matched = 0;
    let calls = asked(|| {
        for filter in &compiled {
            matched += values.iter().filter(|value| filter.matches(value)).count();
        }
    });
    assert_eq!(calls.calls, 0);
    assert!(
        matched >= compiled.len(),
        "each matches something: {matched}"
    );
}
