//! The builder of filters.

use std::ops::{Bound, RangeBounds};

use super::filter::Filter;
use super::literal::Literal;
use super::path::Path;
use super::test::{Comparison, End, Test};

/// A field that a filter tests; made with [`field`].
#[derive(Debug, Clone)]
#[must_use = "a field alone is no filter"]
pub struct Field(Path);

/// The field of this name, or of these names, for a filter.
///
/// ```
/// use grid_core::Key;
/// use grid_core::query::{Path, field};
///
/// let key = Key::new("k")?;
/// let near = field(["address", "city"]).one_of(["Bern", "Basel"]);
/// let same = field("address").field("city").one_of(["Bern", "Basel"]);
/// assert_eq!(near, same);
/// // Values that are plain numbers have no names.
/// let large = field(Path::value()).gt(1000);
/// assert!(large.compile()?.matches(&key, b"\x19\x03\xe9"));
/// # Ok::<(), grid_core::Error>(())
/// ```
pub fn field(path: impl Into<Path>) -> Field {
    Field(path.into())
}

impl Field {
    /// The field `name` within this one.
    pub fn field(self, name: &str) -> Self {
        Self(self.0.then(name))
    }

    /// Of the literal's type and equal to it.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("n").eq(1).compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x61n\x01"));
    /// assert!(filter.matches(&key, b"\xa1\x61n\xf9\x3c\x00"), "1.0");
    /// assert!(!filter.matches(&key, b"\xa1\x61n\x611"), "a text");
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn eq(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Eq, literal)
    }

    /// Not [`Field::eq`]: also of another type, or missing.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("n").ne(1);
    /// assert!(filter.compile()?.matches(&key, b"\xa0"));
    /// let there = filter.and(field("n").exists()).compile()?;
    /// assert!(!there.matches(&key, b"\xa0"));
    /// assert!(there.matches(&key, b"\xa1\x61n\x02"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn ne(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Ne, literal)
    }

    /// Of the literal's type and less.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// // No float is as large as 2⁵³ + 1 and no larger: the comparison is exact all the same.
    /// let filter = field("n").lt((1_i64 << 53) + 1).compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x61n\xfb\x43\x40\0\0\0\0\0\0"), "2⁵³");
    /// assert!(!filter.matches(&key, b"\xa0"), "missing");
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn lt(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Lt, literal)
    }

    /// Of the literal's type and less or equal.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("name").le("b").compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x64name\x61b"));
    /// assert!(!filter.matches(&key, b"\xa1\x64name\x62ba"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn le(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Le, literal)
    }

    /// Of the literal's type and greater.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("n").gt(-1).compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x61n\x00"));
    /// assert!(!filter.matches(&key, b"\xa1\x61n\xf9\x7e\x00"), "NaN");
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn gt(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Gt, literal)
    }

    /// Of the literal's type and greater or equal.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("n").ge(0).compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x61n\xf9\x80\x00"), "−0.0");
    /// assert!(!filter.matches(&key, b"\xa1\x61n\xf6"), "null");
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn ge(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Ge, literal)
    }

    /// Within a range of Rust; a range without ends takes every field that is there.
    ///
    /// Ends of two types, or the wrong way round, make a range that has nothing in it.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// assert!(field("n").between(2..5).compile()?.matches(&key, b"\xa1\x61n\x04"));
    /// assert!(!field("n").between(2..5).compile()?.matches(&key, b"\xa1\x61n\x05"));
    /// assert!(field("n").between(2..=5).compile()?.matches(&key, b"\xa1\x61n\x05"));
    /// assert_eq!(field("n").between(2..), field("n").ge(2));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn between<T: Into<Literal> + Clone>(self, range: impl RangeBounds<T>) -> Filter {
        let end = |bound: Bound<&T>| match bound {
            Bound::Included(literal) => Some((literal.clone().into(), true)),
            Bound::Excluded(literal) => Some((literal.clone().into(), false)),
            Bound::Unbounded => None,
        };
        match (end(range.start_bound()), end(range.end_bound())) {
            (None, None) => self.exists(),
            (Some((low, true)), None) => self.ge(low),
            (Some((low, false)), None) => self.gt(low),
            (None, Some((high, true))) => self.le(high),
            (None, Some((high, false))) => self.lt(high),
            (Some(low), Some(high)) => {
                let [low, high] =
                    [low, high].map(|(literal, inclusive)| End { literal, inclusive });
                self.test(Test::Range { low, high })
            }
        }
    }

    /// Equal to one of `literals`.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("n").one_of([1, 3]).compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x61n\x03"));
    /// assert!(!filter.matches(&key, b"\xa1\x61n\x02"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn one_of<T: Into<Literal>>(self, literals: impl IntoIterator<Item = T>) -> Filter {
        self.test(Test::In(literals.into_iter().map(Into::into).collect()))
    }

    /// A text that starts with `text`.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("name").starts_with("an").compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x64name\x63ann"));
    /// assert!(!filter.matches(&key, b"\xa1\x64name\x63Ann"), "case counts");
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn starts_with(self, text: impl Into<String>) -> Filter {
        self.test(Test::Prefix(text.into()))
    }

    /// A text that has the literal (a text) in it, or an array that has it as an element.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("x").contains("n").compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x61x\x63ann"));
    /// assert!(filter.matches(&key, b"\xa1\x61x\x82\x61m\x61n"));
    /// assert!(!filter.matches(&key, b"\xa1\x61x\x81\x63ann"), "no element is equal");
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn contains(self, literal: impl Into<Literal>) -> Filter {
        self.test(Test::Contains(literal.into()))
    }

    /// There, null or not.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("n").exists().compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x61n\xf6"));
    /// assert!(!filter.matches(&key, b"\xa0"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn exists(self) -> Filter {
        self.test(Test::Exists)
    }

    /// Null, or not there: how a value says "none", with or without a word for it.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let key = Key::new("k")?;
    /// let filter = field("due").is_null_or_missing().compile()?;
    /// assert!(filter.matches(&key, b"\xa1\x63due\xf6"));
    /// assert!(filter.matches(&key, b"\xa0"));
    /// assert!(!filter.matches(&key, b"\xa1\x63due\x00"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn is_null_or_missing(self) -> Filter {
        self.test(Test::NullOrMissing)
    }

    fn compare(self, comparison: Comparison, literal: impl Into<Literal>) -> Filter {
        self.test(Test::Compare(comparison, literal.into()))
    }

    fn test(self, test: Test) -> Filter {
        Filter::Field { path: self.0, test }
    }
}
