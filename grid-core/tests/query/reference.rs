//! What queries mean, said plainly over whole documents.

use std::cmp::Ordering;

use grid_core::query::{Comparison, End, Filter, Literal, Path, Test};

use crate::document::Document;

/// A value without the form in which it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    NotANumber,
    /// Twice the number, and what is beyond all numbers of CBOR's as an end of the range.
    Doubled(i128),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<Plain>),
    Map,
    Simple,
}

fn doubled(float: f64) -> Plain {
    if float.is_nan() {
        return Plain::NotANumber;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "every float of the generator is whole when doubled, or saturates"
    )]
    let twice = (float * 2.0) as i128;
    Plain::Doubled(twice)
}

fn half(bits: u16) -> f64 {
    match bits {
        0x3c00 => 1.0,
        0x3e00 => 1.5,
        0x8000 => -0.0,
        0x7c00 => f64::INFINITY,
        0x7e00 => f64::NAN,
        0xc000 => -2.0,
        _ => panic!("the generator has no {bits:x}"),
    }
}

pub(crate) fn plain(document: &Document) -> Plain {
    match document {
        Document::Null | Document::Undefined => Plain::Null,
        Document::Bool(truth) => Plain::Bool(*truth),
        Document::Integer(number, _) => Plain::Doubled(2 * number),
        Document::Float(number) => doubled(*number),
        Document::Half(bits) => doubled(half(*bits)),
        Document::Single(number) => doubled((*number).into()),
        Document::Text(parts) => Plain::Text(parts.concat()),
        Document::Bytes(parts) => Plain::Bytes(parts.concat()),
        Document::Array(items, _) => Plain::Array(items.iter().map(plain).collect()),
        Document::Map(..) => Plain::Map,
        Document::Tag(_, inner) => plain(inner),
        Document::Simple(_) => Plain::Simple,
    }
}

/// The key of every entry that is filtered: one of the texts.
pub(crate) const KEY: &str = "aab";

fn of_literal(literal: &Literal) -> Plain {
    match literal {
        Literal::Null => Plain::Null,
        Literal::Bool(truth) => Plain::Bool(*truth),
        Literal::Integer(number) => Plain::Doubled(2 * number),
        Literal::Float(number) => doubled(*number),
        Literal::Text(text) => Plain::Text(text.clone()),
        Literal::Bytes(bytes) => Plain::Bytes(bytes.to_vec()),
        other => panic!("the generator has no {other:?}"),
    }
}

/// The field of `document` to which `names` lead.
pub(crate) fn find<'d>(document: &'d Document, names: &[&str]) -> Option<&'d Document> {
    match (document, names) {
        (Document::Tag(_, inner), _) => find(inner, names),
        (_, []) => Some(document),
        (Document::Map(entries, _), [name, others @ ..]) => {
            let is_named =
                |key: &Document| matches!(key, Document::Text(parts) if parts.concat() == *name);
            let (_, first) = entries.iter().find(|(key, _)| is_named(key))?;
            find(first, others)
        }
        _ => None,
    }
}

pub(crate) fn field(key: &str, document: &Document, path: &Path) -> Option<Plain> {
    if path.is_key() {
        return Some(Plain::Text(key.to_owned()));
    }
    find(document, &path.names().collect::<Vec<_>>()).map(plain)
}

/// The order of two values of one type.
pub(crate) fn compare(a: &Plain, b: &Plain) -> Option<Ordering> {
    match (a, b) {
        (Plain::Null, Plain::Null) | (Plain::NotANumber, Plain::NotANumber) => {
            Some(Ordering::Equal)
        }
        (Plain::Bool(a), Plain::Bool(b)) => Some(a.cmp(b)),
        (Plain::Doubled(a), Plain::Doubled(b)) => Some(a.cmp(b)),
        (Plain::Text(a), Plain::Text(b)) => Some(a.chars().cmp(b.chars())),
        (Plain::Bytes(a), Plain::Bytes(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn passes(field: &Plain, test: &Test) -> bool {
    let order = |literal: &Literal| compare(field, &of_literal(literal));
    let within = |end: &End, inside: Ordering| {
        let order = order(&end.literal);
        order == Some(inside) || (end.inclusive && order == Some(Ordering::Equal))
    };
    match test {
        Test::Compare(comparison, literal) => {
            let order = order(literal);
            match comparison {
                Comparison::Eq => order == Some(Ordering::Equal),
                Comparison::Ne => order != Some(Ordering::Equal),
                Comparison::Lt => order == Some(Ordering::Less),
                Comparison::Le => order.is_some_and(Ordering::is_le),
                Comparison::Gt => order == Some(Ordering::Greater),
                Comparison::Ge => order.is_some_and(Ordering::is_ge),
                other => panic!("the generator has no {other:?}"),
            }
        }
        Test::Range { low, high } => within(low, Ordering::Greater) && within(high, Ordering::Less),
        Test::In(literals) => literals
            .iter()
            .any(|literal| order(literal) == Some(Ordering::Equal)),
        Test::Prefix(prefix) => matches!(field, Plain::Text(text) if text.starts_with(prefix)),
        Test::Contains(literal) => match (field, literal) {
            (Plain::Text(text), Literal::Text(inner)) => text.contains(inner),
            (Plain::Array(items), _) => items.contains(&of_literal(literal)),
            _ => false,
        },
        Test::Exists => true,
        Test::NullOrMissing => *field == Plain::Null,
        other => panic!("the generator has no {other:?}"),
    }
}

/// Whether `document` passes `filter`.
pub(crate) fn matches(filter: &Filter, document: &Document) -> bool {
    match filter {
        Filter::And(filters) => filters.iter().all(|inner| matches(inner, document)),
        Filter::Or(filters) => filters.iter().any(|inner| matches(inner, document)),
        Filter::Not(inner) => !matches(inner, document),
        Filter::Field { path, test } => match field(KEY, document, path) {
            Some(field) => passes(&field, test),
            None => matches!(test, Test::Compare(Comparison::Ne, _) | Test::NullOrMissing),
        },
        other => panic!("the generator has no {other:?}"),
    }
}
