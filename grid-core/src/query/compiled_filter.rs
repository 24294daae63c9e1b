//! A filter made ready to be asked about many values.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::bits::Bits;
use super::filter::Filter;
use super::literal::Literal;
use super::needle::Needle;
use super::path::Path;
use super::path_tree::PathTree;
use super::test::{Comparison, Test};
use super::value::Value;
use crate::address::Key;
use crate::error::Result;

impl Filter {
    /// Makes the filter ready to be asked about many values.
    ///
    /// # Errors
    /// `TooLarge` when it exceeds a bound ([`crate::limits::MAX_FILTER_DEPTH`],
    /// [`crate::limits::MAX_FILTER_PARTS`], [`crate::limits::MAX_FILTER_SCANS`],
    /// [`crate::limits::MAX_PATH_NAMES`], [`crate::limits::MAX_QUERY_BYTES`]), `Invalid` when a
    /// literal is an integer that CBOR does not have, or a path leads into the key.
    pub fn compile(&self) -> Result<CompiledFilter> {
        self.check()?;
        let mut by_path = BTreeMap::new();
        let mut checks = 0;
        let logic = collect(self, &mut by_path, &mut checks);
        Ok(CompiledFilter {
            tree: PathTree::new(by_path.keys().copied().enumerate()),
            slots: by_path.into_values().collect(),
            logic,
        })
    }
}

/// A filter that was made ready by [`Filter::compile`].
#[derive(Debug, Clone)]
pub struct CompiledFilter {
    tree: PathTree,
    /// What is asked of the field in each slot of the tree, each with its place in the results.
    slots: Box<[Vec<(usize, Check)>]>,
    logic: Logic,
}

impl CompiledFilter {
    /// Whether an entry passes: its key, and its value, a CBOR item.
    ///
    /// Reads the bytes once, allocates nothing and never fails: [the module](super) tells what
    /// becomes of bytes that are no CBOR.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("t1")?;
    /// let filter = field("tags").contains("red").compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x64tags\x82\x64blue\x63red"));
    /// assert!(!filter.matches(&key, b"\xa1\x64tags\x81\x64blue"));
    /// assert!(!filter.matches(&key, b"garbage"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn matches(&self, key: &Key, value: &[u8]) -> bool {
        let mut results = Bits::default();
        self.tree.visit(key.as_bytes(), value, |slot, field| {
            self.ask(slot, &field, &mut results);
        });
        self.logic.holds(&results)
    }

    /// Whether an entry passes whose fields every reader finds to be the same.
    pub(super) fn matches_unambiguous(&self, key: &Key, value: &[u8]) -> bool {
        let mut results = Bits::default();
        let ask = |slot, field| self.ask(slot, &field, &mut results);
        let sound = self.tree.visit_unambiguous(key.as_bytes(), value, ask);
        sound && self.logic.holds(&results)
    }

    #[inline]
    fn ask(&self, slot: usize, field: &Value<'_>, results: &mut Bits) {
        for (place, check) in &self.slots[slot] {
            if check.passes(field) {
                results.set(*place);
            }
        }
    }
}

/// How the results of checks decide; a check of a missing field fails.
#[derive(Debug, Clone)]
enum Logic {
    Check(usize),
    All(Vec<Logic>),
    Any(Vec<Logic>),
    Not(Box<Logic>),
}

impl Logic {
    fn holds(&self, results: &Bits) -> bool {
        match self {
            Self::Check(place) => results.get(*place),
            Self::All(parts) => parts.iter().all(|part| part.holds(results)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(results)),
            Self::Not(part) => !part.holds(results),
        }
    }
}

type Checks<'p> = BTreeMap<&'p Path, Vec<(usize, Check)>>;

fn collect<'p>(filter: &'p Filter, by_path: &mut Checks<'p>, checks: &mut usize) -> Logic {
    let mut all = |filters: &'p [Filter]| -> Vec<Logic> {
        let parts = filters.iter();
        parts.map(|inner| collect(inner, by_path, checks)).collect()
    };
    match filter {
        Filter::And(filters) => Logic::All(all(filters)),
        Filter::Or(filters) => Logic::Any(all(filters)),
        Filter::Not(inner) => Logic::Not(Box::new(collect(inner, by_path, checks))),
        Filter::Field { path, test } => {
            let place = *checks;
            *checks += 1;
            by_path
                .entry(path)
                .or_default()
                .push((place, Check::new(test)));
            let logic = Logic::Check(place);
            // Where no field is no check passes.
            if test.holds_of_missing() {
                Logic::Not(Box::new(logic))
            } else {
                logic
            }
        }
    }
}

/// A test of a field that is there.
#[derive(Debug, Clone)]
enum Check {
    /// Of the literal's type, and in one of these orders to it.
    Compare(Literal, &'static [Ordering]),
    Range {
        low: (Literal, &'static [Ordering]),
        high: (Literal, &'static [Ordering]),
    },
    /// Ascending.
    In(Vec<Literal>),
    Prefix(Box<[u8]>),
    Contains(Literal, Option<Needle>),
    Exists,
    NotNull,
}

const LESS: &[Ordering] = &[Ordering::Less];
const LESS_OR_EQUAL: &[Ordering] = &[Ordering::Less, Ordering::Equal];
const EQUAL: &[Ordering] = &[Ordering::Equal];
const GREATER_OR_EQUAL: &[Ordering] = &[Ordering::Greater, Ordering::Equal];
const GREATER: &[Ordering] = &[Ordering::Greater];

impl Check {
    fn new(test: &Test) -> Self {
        match test {
            Test::Compare(comparison, literal) => {
                let orders = match comparison {
                    // The result of `Ne` is turned round.
                    Comparison::Eq | Comparison::Ne => EQUAL,
                    Comparison::Lt => LESS,
                    Comparison::Le => LESS_OR_EQUAL,
                    Comparison::Gt => GREATER,
                    Comparison::Ge => GREATER_OR_EQUAL,
                };
                Self::Compare(literal.clone(), orders)
            }
            Test::Range { low, high } => {
                let above = if low.inclusive {
                    GREATER_OR_EQUAL
                } else {
                    GREATER
                };
                let below = if high.inclusive { LESS_OR_EQUAL } else { LESS };
                Self::Range {
                    low: (low.literal.clone(), above),
                    high: (high.literal.clone(), below),
                }
            }
            Test::In(literals) => {
                let mut literals = literals.clone();
                literals.sort_unstable_by(|a, b| a.as_value().total_order(&b.as_value()));
                Self::In(literals)
            }
            Test::Prefix(text) => Self::Prefix(text.as_bytes().into()),
            Test::Contains(literal) => {
                let needle = match literal {
                    Literal::Text(text) => Some(Needle::new(text.as_bytes())),
                    _ => None,
                };
                Self::Contains(literal.clone(), needle)
            }
            Test::Exists => Self::Exists,
            // Its result is turned round, too.
            Test::NullOrMissing => Self::NotNull,
        }
    }

    #[inline]
    fn passes(&self, field: &Value<'_>) -> bool {
        match self {
            Self::Compare(literal, orders) => is(field, literal, orders),
            Self::Range { low, high } => is(field, &low.0, low.1) && is(field, &high.0, high.1),
            Self::In(literals) => literals
                .binary_search_by(|literal| literal.as_value().total_order(field))
                .is_ok(),
            Self::Prefix(prefix) => match field {
                Value::Text(text) => text.starts_with(prefix),
                _ => false,
            },
            Self::Contains(literal, needle) => match (field, needle) {
                (Value::Text(text), Some(needle)) => needle.is_in(text.chunks()),
                (Value::Array(elements), _) => elements.any(|element| is(&element, literal, EQUAL)),
                _ => false,
            },
            Self::Exists => true,
            Self::NotNull => !matches!(field, Value::Null),
        }
    }
}

#[inline]
fn is(field: &Value<'_>, literal: &Literal, orders: &[Ordering]) -> bool {
    let order = field.compare(&literal.as_value());
    order.is_some_and(|order| orders.contains(&order))
}
