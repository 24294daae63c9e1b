//! Where every match of a filter is found in an index by equality.

use std::collections::{BTreeMap, BTreeSet};

use super::filter::Filter;
use super::index_key::IndexKey;
use super::path::Path;
use super::test::{Comparison, Test};

/// Fields and what they are, such that every entry that a filter takes has one of them.
///
/// With the filters of many subscriptions in a hash map by (path, [`IndexKey`]), an entry meets
/// those that may take it by looking up its own [`Fields`](super::Fields): each of those found is
/// asked whether it does, and none of the others need be. Of a change both versions of the entry
/// are looked up, since what leaves is found by what it was. One filter may be found by several
/// fields of an entry.
///
/// A cover without fields is that of a filter that takes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cover {
    keys: BTreeMap<Path, BTreeSet<IndexKey>>,
}

impl Cover {
    /// The paths, each with one of its keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &IndexKey)> {
        let keys = self.keys.iter();
        keys.flat_map(|(path, keys)| keys.iter().map(move |key| (path, key)))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.values().map(BTreeSet::len).sum()
    }

    /// Whether there is none: then the filter takes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether an entry whose field at `path` has this key is covered.
    #[must_use]
    pub fn contains(&self, path: &Path, key: &IndexKey) -> bool {
        let keys = self.keys.get(path);
        keys.is_some_and(|keys| keys.contains(key))
    }

    fn of(path: &Path, keys: impl IntoIterator<Item = IndexKey>) -> Self {
        let keys: BTreeSet<IndexKey> = keys.into_iter().collect();
        let mut cover = Self::default();
        if !keys.is_empty() {
            cover.keys.insert(path.clone(), keys);
        }
        cover
    }

    fn join(mut self, other: Self) -> Self {
        for (path, keys) in other.keys {
            self.keys.entry(path).or_default().extend(keys);
        }
        self
    }

    /// How many entries it may let through, by a guess.
    fn weight(&self) -> usize {
        self.iter().map(|(_, key)| key_weight(key)).sum()
    }
}

/// Half of all entries may be false or lack a field, where few have one name or number.
fn key_weight(key: &IndexKey) -> usize {
    const OF_MANY: usize = 64;
    if key.is_of_few_values() { OF_MANY } else { 1 }
}

impl Filter {
    /// Where an index by equality finds every match; `None` when the filter does not say enough.
    ///
    /// Of what is joined by `and` it takes the part that seems to let the fewest entries through,
    /// of what is joined by `or` all. Equality with a literal, `one_of`, and what is null or
    /// missing give keys.
    ///
    /// ```
    /// use grid_core::query::{IndexKey, Literal, Path, field};
    ///
    /// let filter = field("done").eq(false).and(field("owner").one_of(["ann", "bob"]));
    /// let cover = filter.cover().expect("two equalities");
    /// assert_eq!(cover.len(), 2);
    /// assert!(cover.contains(&Path::from("owner"), &IndexKey::of(&Literal::from("bob"))));
    /// assert!(field("due").lt(20).cover().is_none());
    /// ```
    #[must_use]
    pub fn cover(&self) -> Option<Cover> {
        self.cover_of(false)
    }

    /// The cover of this filter, or of its opposite when `negated`.
    fn cover_of(&self, negated: bool) -> Option<Cover> {
        match (self, negated) {
            (Self::Not(inner), _) => inner.cover_of(!negated),
            // The opposite of "any of these" is "none of these".
            (Self::And(parts), false) | (Self::Or(parts), true) => {
                let covers = parts.iter().filter_map(|part| part.cover_of(negated));
                covers.min_by_key(Cover::weight)
            }
            (Self::Or(parts), false) | (Self::And(parts), true) => {
                parts.iter().try_fold(Cover::default(), |all, part| {
                    Some(all.join(part.cover_of(negated)?))
                })
            }
            (Self::Field { path, test }, _) => test.cover(path, negated),
        }
    }
}

impl Test {
    /// The cover of the fields that pass, or that do not when `negated`.
    fn cover(&self, path: &Path, negated: bool) -> Option<Cover> {
        Some(match (self, negated) {
            (Self::Compare(Comparison::Eq, literal), false)
            | (Self::Compare(Comparison::Ne, literal), true) => {
                Cover::of(path, [IndexKey::of(literal)])
            }
            (Self::In(literals), false) => Cover::of(path, literals.iter().map(IndexKey::of)),
            (Self::NullOrMissing, false) => {
                let null = IndexKey::of(&super::Literal::Null);
                Cover::of(path, [null, IndexKey::missing()])
            }
            (Self::Exists, true) => Cover::of(path, [IndexKey::missing()]),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Literal, field};
    use super::*;

    fn pairs(filter: &Filter) -> Option<Vec<(Path, IndexKey)>> {
        let cover = filter.cover()?;
        let pairs: Vec<_> = (cover.iter())
            .map(|(path, key)| (path.clone(), key.clone()))
            .collect();
        assert_eq!(pairs.len(), cover.len());
        Some(pairs)
    }

    #[test]
    fn covers_are_those_of_every_match() {
        let (a, b) = (|| field("a").eq(1), || field("b").eq(2));
        let pair = |name, number: i32| (Path::from(name), IndexKey::of(&number.into()));
        let both = Some(vec![pair("a", 1), pair("b", 2)]);
        assert_eq!(pairs(&a().and(b())), Some(vec![pair("a", 1)]));
        assert_eq!(pairs(&a().or(b())), both);
        assert_eq!(pairs(&a().or(field("b").lt(2))), None);
        assert_eq!(pairs(&a().or(b().and(field("c").lt(2)))), both);
        assert_eq!(pairs(&!a()), None);
        assert_eq!(pairs(&!!a()), Some(vec![pair("a", 1)]));
        assert_eq!(pairs(&!field("a").ne(1)), Some(vec![pair("a", 1)]));
        assert_eq!(pairs(&field("a").ne(1)), None);
        assert_eq!(pairs(&!(!a()).and(!b())), both);
        assert_eq!(pairs(&!(!a()).or(!b())), Some(vec![pair("a", 1)]));
        let some = field("a").one_of([2.0, 1.0, 2.0]);
        assert_eq!(pairs(&some), Some(vec![pair("a", 1), pair("a", 2)]));
        assert_eq!(pairs(&!some), None);
        assert_eq!(pairs(&Filter::none()), Some(vec![]));
        assert_eq!(pairs(&field("a").one_of([0; 0])), Some(vec![]));
        assert_eq!(pairs(&Filter::all()), None);
    }

    #[test]
    fn what_is_not_there_is_found_as_such() {
        let (missing, null) = (IndexKey::missing(), IndexKey::of(&Literal::Null));
        let a = |key: &IndexKey| (Path::from("a"), key.clone());
        let none = field("a").is_null_or_missing();
        assert_eq!(pairs(&none), Some(vec![a(&missing), a(&null)]));
        assert_eq!(pairs(&!none), None);
        assert_eq!(pairs(&!field("a").exists()), Some(vec![a(&missing)]));
        assert_eq!(pairs(&field("a").exists()), None);
    }

    #[test]
    fn the_part_that_says_most_is_taken() {
        let few = field("owner").one_of(["ann", "bob", "cy"]);
        let cover = field("done").eq(false).and(few.clone()).cover();
        assert_eq!(cover, few.cover());
        let one = field("id").eq(7);
        assert_eq!(few.and(one.clone()).cover(), one.cover());
    }
}
