//! What is asked of a map.

use bytes::{Bytes, BytesMut};

use super::filter::Filter;
use super::order::{Direction, Order};
use super::path::Path;
use super::query_id::QueryId;
use super::wire;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_QUERY_BYTES;

/// Which entries, in which order, and how many of them at most.
///
/// ```
/// use bytes::BytesMut;
/// use grid_core::query::{Query, field};
///
/// let query = Query::from(field("done").eq(false)).descending("due").limit(20);
/// let mut encoded = BytesMut::new();
/// query.encode(&mut encoded)?;
/// assert_eq!(Query::decode(&encoded.freeze())?, query);
/// # Ok::<(), grid_core::Error>(())
/// ```
///
/// A message carries a query as a byte string, which the receiver decodes when it comes to that
/// request: a query of a later version is then a refusal of one request, and no end of the
/// connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// The entries that are asked for.
    pub filter: Filter,
    /// Their order.
    pub order: Order,
    /// How many of them, counted from the front of the order, at least one; all without. It is part
    /// of the question, while the length of a page is how the answer is read: pages go on until the
    /// limit is reached.
    pub limit: Option<u32>,
}

impl Query {
    /// Every entry, by key.
    #[must_use]
    pub fn all() -> Self {
        Self {
            filter: Filter::all(),
            order: Order::by_key(),
            limit: None,
        }
    }

    /// Those of the entries that `filter` takes, too.
    #[must_use]
    pub fn and(mut self, filter: Filter) -> Self {
        self.filter = self.filter.and(filter);
        self
    }

    /// In this order in place of the one before.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Where the order leaves entries equal, those with less in `path` first.
    #[must_use]
    pub fn ascending(self, path: impl Into<Path>) -> Self {
        self.then(path, Direction::Ascending)
    }

    /// Where the order leaves entries equal, those with more in `path` first.
    #[must_use]
    pub fn descending(self, path: impl Into<Path>) -> Self {
        self.then(path, Direction::Descending)
    }

    fn then(mut self, path: impl Into<Path>, direction: Direction) -> Self {
        self.order = self.order.then(path, direction);
        self
    }

    /// At most so many entries; 0 is refused when the query is checked.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Checks everything that [`Query::encode`] does, but for the length of the encoding.
    ///
    /// # Errors
    /// `TooLarge` when it exceeds a bound; `Invalid` when a literal is an integer that CBOR does
    /// not have, a path leads into the key, or the limit is 0.
    pub fn check(&self) -> Result<()> {
        self.filter.check()?;
        self.order.check()?;
        if self.limit == Some(0) {
            let message =
                "a query with the limit 0 has no entries; ask for one at least, or for all";
            return Err(Error::new(ErrorKind::Invalid, "check query", message));
        }
        Ok(())
    }

    /// What names the query wherever it is asked.
    ///
    /// ```
    /// use grid_core::query::{Query, field};
    ///
    /// let done = || field("done").eq(true);
    /// assert_eq!(Query::from(!!done()).id()?, Query::from(done()).id()?);
    /// assert_ne!(Query::from(done()).limit(1).id()?, Query::from(done()).id()?);
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Query::encode`].
    pub fn id(&self) -> Result<QueryId> {
        QueryId::of(self)
    }

    /// Appends the query as CBOR; after an error `buffer` is as it was.
    ///
    /// # Errors
    /// Those of [`Query::check`]; `TooLarge` beyond [`MAX_QUERY_BYTES`].
    pub fn encode(&self, buffer: &mut BytesMut) -> Result<()> {
        self.check()?;
        let before = buffer.len();
        wire::write(self, buffer);
        let length = buffer.len() - before;
        if length > MAX_QUERY_BYTES {
            buffer.truncate(before);
            return Err(too_long("encode query", length));
        }
        Ok(())
    }

    /// The query that [`Query::encode`] wrote.
    ///
    /// What is not known is refused, other than in messages: to leave out a part of a question is
    /// to answer another one.
    ///
    /// # Errors
    /// `Unsupported` when it has a part of a later version, which the message names; `TooLarge`
    /// when it exceeds a bound, which the message names; `Protocol` when it is no query.
    pub fn decode(encoded: &Bytes) -> Result<Self> {
        if encoded.len() > MAX_QUERY_BYTES {
            return Err(too_long("decode query", encoded.len()));
        }
        wire::read(encoded)
    }
}

impl From<Filter> for Query {
    fn from(filter: Filter) -> Self {
        let all = Self::all();
        Self { filter, ..all }
    }
}

fn too_long(operation: &'static str, length: usize) -> Error {
    let message = format!("the query has {length} bytes; at most {MAX_QUERY_BYTES} are allowed");
    Error::new(ErrorKind::TooLarge, operation, message)
}
