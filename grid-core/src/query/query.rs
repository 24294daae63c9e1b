//! What is asked of a map.

use bytes::{Bytes, BytesMut};

use super::filter::Filter;
use super::order::Order;
use super::wire;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_QUERY_BYTES;

/// Which entries, in which order, and how many of them at most.
///
/// ```
/// use bytes::BytesMut;
/// use grid_core::query::{Order, Query, field};
///
/// let query = Query {
///     filter: field("done").eq(false),
///     order: Order::by_key().descending("due"),
///     limit: Some(20),
/// };
/// let mut encoded = BytesMut::new();
/// query.encode(&mut encoded)?;
/// assert_eq!(Query::decode(&encoded.freeze())?, query);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The entries that are asked for.
    pub filter: Filter,
    /// Their order.
    pub order: Order,
    /// How many of them, counted from the front of the order; all without.
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

    /// Appends the query as CBOR; after an error `buffer` is as it was.
    ///
    /// # Errors
    /// `TooLarge` when it exceeds a bound, [`MAX_QUERY_BYTES`] among them; `Invalid` when a literal
    /// is an integer that CBOR does not have.
    pub fn encode(&self, buffer: &mut BytesMut) -> Result<()> {
        self.filter.check()?;
        self.order.check()?;
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
    /// Fields that are not known are refused, other than in messages: to leave out a part of a
    /// question is to answer another one.
    ///
    /// # Errors
    /// `TooLarge` when it exceeds a bound, which the message names; `Protocol` when it is no query.
    pub fn decode(encoded: &Bytes) -> Result<Self> {
        if encoded.len() > MAX_QUERY_BYTES {
            return Err(too_long("decode query", encoded.len()));
        }
        wire::read(encoded)
    }
}

fn too_long(operation: &'static str, length: usize) -> Error {
    let message = format!("the query has {length} bytes; at most {MAX_QUERY_BYTES} are allowed");
    Error::new(ErrorKind::TooLarge, operation, message)
}
