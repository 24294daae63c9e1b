//! Where in a value a field lies.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_PATH_NAMES;

/// The names that lead from a value to a field in it, outermost first.
///
/// A name may hold any character, a dot too: a path is a list, and nothing splits a text into one.
/// The path of no names is the value itself.
///
/// ```
/// use grid_core::query::Path;
///
/// let city = Path::from(["address", "city"]);
/// assert_eq!(city.names().collect::<Vec<_>>(), ["address", "city"]);
/// assert_ne!(Path::from("a.b"), Path::from(["a", "b"]));
/// assert_eq!(Path::value().names().count(), 0);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Arc<str>>);

impl Path {
    /// The path of the value itself: for maps whose values are plain numbers or texts.
    #[must_use]
    pub fn value() -> Self {
        Self(Vec::new())
    }

    /// The path that goes on with `name`.
    #[must_use]
    pub fn then(mut self, name: &str) -> Self {
        self.0.push(name.into());
        self
    }

    /// The names, outermost first.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    pub(super) fn check(&self) -> Result<()> {
        Self::check_length("check query", self.0.len())
    }

    pub(super) fn check_length(operation: &'static str, names: usize) -> Result<()> {
        if names <= MAX_PATH_NAMES {
            return Ok(());
        }
        let message =
            format!("the path of a field has {names} names; at most {MAX_PATH_NAMES} are allowed");
        Err(Error::new(ErrorKind::TooLarge, operation, message))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl From<&str> for Path {
    fn from(name: &str) -> Self {
        Self::value().then(name)
    }
}

impl<const N: usize> From<[&str; N]> for Path {
    fn from(names: [&str; N]) -> Self {
        names.into_iter().collect()
    }
}

impl<'a> FromIterator<&'a str> for Path {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        Self(names.into_iter().map(Arc::from).collect())
    }
}
