//! In which order a query's entries stand.

use super::path::Path;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_ORDER_FIELDS;

/// Fields by which entries are ordered, the most significant first; keys decide among entries that
/// are equal in all of them.
///
/// Keys ascend unless [`Path::key`] stands among the fields as descending. What could not decide
/// any more is left out: a path that stands already, and whatever comes after the key.
///
/// Values of different types have an order too. Ascending it is: missing, null, false, true, NaN,
/// numbers, texts, byte strings, arrays, maps, CBOR's simple values. Within a type it is that of a
/// filter's comparisons, where texts and byte strings count by their first
/// [`ORDER_PREFIX_BYTES`](crate::limits::ORDER_PREFIX_BYTES). Arrays are equal to each other, and
/// so are maps. Descending is the exact reverse, so that entries without the field come last.
///
/// ```
/// use grid_core::Key;
/// use grid_core::query::{Order, Path};
///
/// // The latest first; of one day by name.
/// let order = Order::by_key().descending("due").ascending("name").compile()?;
/// let (early, late) = (b"\xa1\x63due\x01", b"\xa1\x63due\x02");
/// assert!(order.key(&Key::new("b")?, late) < order.key(&Key::new("a")?, early));
/// assert!(order.key(&Key::new("a")?, late) < order.key(&Key::new("b")?, late));
///
/// // Keys that are dates, the latest first.
/// let order = Order::by_key().descending(Path::key()).compile()?;
/// assert!(order.key(&Key::new("2026")?, early) < order.key(&Key::new("2025")?, early));
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order(Vec<(Path, Direction)>);

/// Which way a field orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// The least first.
    Ascending,
    /// The greatest first.
    Descending,
}

impl Order {
    /// The order of keys alone.
    #[must_use]
    pub fn by_key() -> Self {
        Self::default()
    }

    /// Where this order leaves entries equal, those with less in `path` come first.
    #[must_use]
    pub fn ascending(self, path: impl Into<Path>) -> Self {
        self.then(path, Direction::Ascending)
    }

    /// Where this order leaves entries equal, those with more in `path` come first.
    #[must_use]
    pub fn descending(self, path: impl Into<Path>) -> Self {
        self.then(path, Direction::Descending)
    }

    /// Where this order leaves entries equal, `path` decides.
    #[must_use]
    pub fn then(mut self, path: impl Into<Path>, direction: Direction) -> Self {
        let path = path.into();
        if !self.has_decided(&path) {
            self.0.push((path, direction));
        }
        self
    }

    /// Whether entries that differ in `path` alone are ordered already, or none are left equal.
    pub(super) fn has_decided(&self, path: &Path) -> bool {
        self.has_key() || self.0.iter().any(|(before, _)| before == path)
    }

    /// Whether the key is one of the fields; then it is the last.
    pub(super) fn has_key(&self) -> bool {
        self.0.last().is_some_and(|(path, _)| path.is_key())
    }

    /// The fields, the most significant first.
    #[must_use]
    pub fn fields(&self) -> &[(Path, Direction)] {
        &self.0
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.0.len() > MAX_ORDER_FIELDS {
            return Err(too_many_fields("check query", self.0.len()));
        }
        self.0.iter().try_for_each(|(path, _)| path.check())
    }
}

pub(super) fn too_many_fields(operation: &'static str, fields: usize) -> Error {
    let message = format!("an order has {fields} fields; at most {MAX_ORDER_FIELDS} are allowed");
    Error::new(ErrorKind::TooLarge, operation, message)
}
