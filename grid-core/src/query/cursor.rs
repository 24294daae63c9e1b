//! Where a page of a query's result ended.

use std::fmt;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

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

/// A place in an order after which the next page starts, as bytes that say nothing to others.
///
/// A page that starts after a cursor has what comes after that place when the page is read,
/// whatever entries came and went in the meantime: also that of the cursor itself.
///
/// ```
/// use grid_core::Key;
/// use grid_core::query::{Cursor, Order};
///
/// let order = Order::by_key().ascending("due").compile()?;
/// let last = order.key(&Key::new("t1")?, b"\xa1\x63due\x01");
/// let sent = order.cursor(&last).as_bytes().clone();
/// assert_eq!(order.position(&Cursor::from_bytes(sent)?)?, last);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Bytes);

impl Cursor {
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

    pub(super) fn position(&self, fingerprint: u64) -> Result<OrderKey> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Invalid, "read cursor", message));
        let Some((version, rest)) = self.0.split_first() else {
            return refuse("the cursor is empty");
        };
        if *version != VERSION {
            return refuse("the cursor is of another version of the format; start from the front");
        }
        match rest.strip_prefix(&fingerprint.to_be_bytes()) {
            Some(position) => Ok(OrderKey::new(position.to_vec())),
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
            for name in path.names() {
                bytes.push(3);
                bytes.extend_from_slice(&(name.len() as u64).to_be_bytes());
                bytes.extend_from_slice(name.as_bytes());
            }
        }
        xxh3_64(&bytes)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} bytes)", self.0.len())
    }
}
