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
///
/// [`Path::key`] is no place in a value: it names the entry's key, which counts as a text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    root: Root,
    names: Vec<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Root {
    Key,
    Value,
}

impl Path {
    /// The path of the value itself: for maps whose values are plain numbers or texts.
    #[must_use]
    pub fn value() -> Self {
        Self::of(Root::Value)
    }

    /// What names the key of the entry, a text that is always there. It has no fields.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::{Path, field};
    ///
    /// let filter = field(Path::key()).starts_with("2026/").compile()?;
    /// assert!(filter.matches(&Key::new("2026/01")?, b"\xa0"));
    /// assert!(!filter.matches(&Key::new("2025/12")?, b"\xa0"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn key() -> Self {
        Self::of(Root::Key)
    }

    /// Whether this names the key of the entry.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.root == Root::Key
    }

    fn of(root: Root) -> Self {
        let names = Vec::new();
        Self { root, names }
    }

    /// The path that goes on with `name`.
    #[must_use]
    pub fn then(mut self, name: &str) -> Self {
        self.names.push(name.into());
        self
    }

    /// The names, outermost first.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.is_key() && !self.names.is_empty() {
            let message = "the key of an entry is a text, which has no fields";
            return Err(Error::new(ErrorKind::Invalid, "check query", message));
        }
        Self::check_length("check query", self.names.len())
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
        if self.is_key() {
            f.write_str("key ")?;
        }
        f.debug_list().entries(&self.names).finish()
    }
}

impl From<&str> for Path {
    fn from(name: &str) -> Self {
        Self::value().then(name)
    }
}

impl From<&String> for Path {
    fn from(name: &String) -> Self {
        name.as_str().into()
    }
}

impl From<String> for Path {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl From<&Path> for Path {
    fn from(path: &Path) -> Self {
        path.clone()
    }
}

impl From<&[&str]> for Path {
    fn from(names: &[&str]) -> Self {
        names.iter().copied().collect()
    }
}

impl<const N: usize> From<[&str; N]> for Path {
    fn from(names: [&str; N]) -> Self {
        names.into_iter().collect()
    }
}

impl<'a> FromIterator<&'a str> for Path {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let names = names.into_iter().map(Arc::from).collect();
        Self {
            root: Root::Value,
            names,
        }
    }
}
