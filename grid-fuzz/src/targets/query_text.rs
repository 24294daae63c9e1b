//! Queries as somebody types them.

use grid_core::ErrorKind;
use grid_core::query::Query;

use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "query_text",
    promise: "a text is refused with a place in it, or is a query that is written as a text of the \
              same meaning",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut query: Query = match text.parse() {
        Ok(query) => query,
        Err(error) => {
            let kinds = [ErrorKind::Invalid, ErrorKind::TooLarge];
            assert!(kinds.contains(&error.kind()), "{error}");
            return;
        }
    };
    query.check().expect("what is parsed is within bounds");
    let written = query.to_string();
    let mut again: Query = written.parse().expect("what is written can be read");
    for query in [&mut query, &mut again] {
        query.filter = query.filter.normalized();
    }
    assert_eq!(again, query, "{written}");
}

fn seeds() -> Vec<Seed> {
    let texts = [
        (
            "whole",
            "where done = false and owner.name starts_with \"An\" order by created desc limit 50",
        ),
        (
            "tests",
            "where a in (1, -2.5, null) or not (b in 1<..=5 && c is not none) or `d e` exists",
        ),
        (
            "literals",
            "where key() > \"\\u{e9}\\n\" and x = h'00ff' and y <= -inf or z contains true",
        ),
        ("order", "order by -value().a, key() desc"),
    ];
    texts.map(|(name, text)| Seed::new(name, text)).to_vec()
}
