//! Random filters.

use grid_core::query::{Comparison, End, Filter, Literal, Path, Test};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::document::{NAMES, TEXTS, floats, integers};

pub(crate) fn value_paths() -> impl Strategy<Value = Path> {
    vec(prop::sample::select(&NAMES[..]), 0..4)
        .prop_map(|names| names.into_iter().collect::<Path>())
}

pub(crate) fn paths() -> impl Strategy<Value = Path> {
    prop_oneof![9 => value_paths(), 1 => Just(Path::key())]
}

pub(crate) fn literals() -> impl Strategy<Value = Literal> {
    prop_oneof![
        1 => Just(Literal::Null),
        1 => any::<bool>().prop_map(Literal::Bool),
        3 => integers().prop_map(Literal::Integer),
        2 => floats().prop_map(Literal::Float),
        3 => prop::sample::select(&TEXTS[..]).prop_map(Literal::from),
        1 => prop::sample::select(vec![vec![], vec![0_u8], b"ab".to_vec()])
            .prop_map(Literal::from),
    ]
}

pub(crate) fn tests() -> impl Strategy<Value = Test> {
    let comparisons = prop::sample::select(vec![
        Comparison::Eq,
        Comparison::Ne,
        Comparison::Lt,
        Comparison::Le,
        Comparison::Gt,
        Comparison::Ge,
    ]);
    let ends =
        || (literals(), any::<bool>()).prop_map(|(literal, inclusive)| End { literal, inclusive });
    prop_oneof![
        4 => (comparisons, literals()).prop_map(|(how, literal)| Test::Compare(how, literal)),
        2 => (ends(), ends()).prop_map(|(low, high)| Test::Range { low, high }),
        1 => vec(literals(), 0..4).prop_map(Test::In),
        1 => prop::sample::select(&TEXTS[..]).prop_map(|text| Test::Prefix(text.to_owned())),
        1 => literals().prop_map(Test::Contains),
        1 => Just(Test::Exists),
        1 => Just(Test::NullOrMissing),
    ]
}

pub(crate) fn filters() -> impl Strategy<Value = Filter> {
    let fields = (paths(), tests()).prop_map(|(path, test)| Filter::Field { path, test });
    fields.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Filter::And),
            vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|inner| !inner),
        ]
    })
}
