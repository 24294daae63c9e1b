//! Where a page of a query's result ended.

use std::fmt;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::hex::write_hex;
use super::order::{Direction, Order};
use super::order_key::OrderKey;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_KEY_BYTES, MAX_ORDER_FIELDS, ORDER_PREFIX_BYTES};

/// The version of the format.
const VERSION: u8 = 1;
/// Bytes before the position: the version, and the order's fingerprint.
const HEAD_BYTES: usize = 9;
/// The longest cursor, in bytes: every byte of every text a zero.
const MAX_CURSOR_BYTES: usize =
    HEAD_BYTES + MAX_ORDER_FIELDS * (2 * ORDER_PREFIX_BYTES + 3) + MAX_KEY_BYTES;

/// A place in an order after which the next page starts, as bytes that mean nothing to others:
/// keyset paging.
///
/// A page that starts after a cursor has what comes after that place when the page is read,
/// whatever entries came and went in the meantime: also that of the cursor itself. An entry that
/// moved in the order meanwhile may come twice or not at all. How long a page is belongs to the
/// request for it; the [`limit`](super::Query::limit) belongs to the query, and counts from its
/// front over all pages.
///
/// It has nothing to do with the cursor of a view, which is a place in the history of a map. It
/// holds the fields of the entry by which the order goes, in the clear: who is handed a cursor has
/// been handed the entry.
///
/// The bytes are the version of the format (1), the fingerprint of the order (8 bytes, big-endian)
/// and those of the [`OrderKey`].
///
/// ```
/// use grid_core::Key;
/// use grid_core::query::{Order, PageCursor};
///
/// let order = Order::by_key().ascending("due").compile()?;
/// let last = order.key(&Key::new("t1")?, b"\xa1\x63due\x01");
/// let sent = order.cursor(&last).as_bytes().clone();
/// assert_eq!(order.position(&PageCursor::from_bytes(sent)?)?, last.as_bytes());
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PageCursor(Bytes);

impl PageCursor {
    /// The cursor that these bytes are.
    ///
    /// # Errors
    /// `TooLarge` when there are more than any cursor has.
    pub fn from_bytes(bytes: Bytes) -> Result<Self> {
        if bytes.len() <= MAX_CURSOR_BYTES {
            return Ok(Self(bytes));
        }
        let message = format!(
            "the cursor has {} bytes; at most {MAX_CURSOR_BYTES} are allowed",
            bytes.len()
        );
        Err(Error::new(ErrorKind::TooLarge, "read cursor", message))
    }

    /// The cursor as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    pub(super) fn new(fingerprint: u64, position: &OrderKey) -> Self {
        let parts = [
            &[VERSION],
            &fingerprint.to_be_bytes()[..],
            position.as_bytes(),
        ];
        Self(parts.concat().into())
    }

    pub(super) fn position(&self, fingerprint: u64) -> Result<&[u8]> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Invalid, "read cursor", message));
        let Some((version, rest)) = self.0.split_first() else {
            return refuse("the cursor is empty");
        };
        if *version != VERSION {
            return refuse("the cursor is of another version of the format; start from the front");
        }
        match rest.strip_prefix(&fingerprint.to_be_bytes()) {
            Some(position) => Ok(position),
            None => refuse("the cursor is of another order; start from the front"),
        }
    }

    /// What tells cursors of `order` from those of others.
    pub(super) fn fingerprint(order: &Order) -> u64 {
        let mut bytes = Vec::new();
        for (path, direction) in order.fields() {
            bytes.push(match direction {
                Direction::Ascending => 1,
                Direction::Descending => 2,
            });
            if path.is_key() {
                bytes.push(4);
            }
            for name in path.names() {
                bytes.push(3);
                bytes.extend_from_slice(&(name.len() as u64).to_be_bytes());
                bytes.extend_from_slice(name.as_bytes());
            }
        }
        xxh3_64(&bytes)
    }
}

impl fmt::Debug for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((head, position)) = self.0.split_at_checked(HEAD_BYTES) else {
            return write!(f, "PageCursor({} bytes, too few)", self.0.len());
        };
        f.write_str("PageCursor(order ")?;
        write_hex(f, &head[1..])?;
        f.write_str(", after ")?;
        write_hex(f, position)?;
        f.write_str(")")
    }
}
