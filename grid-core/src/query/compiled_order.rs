//! An order made ready to be asked about many entries.

use std::cmp::Ordering;

use super::cursor::Cursor;
use super::order::{Direction, Order};
use super::order_key::{OrderKey, put_field, put_missing};
use super::path::Path;
use super::path_tree::PathTree;
use super::value::Value;
use crate::address::Key;
use crate::error::Result;
use crate::limits::MAX_ORDER_FIELDS;

impl Order {
    /// Makes the order ready to be asked about many entries.
    ///
    /// # Errors
    /// `TooLarge` when it exceeds a bound ([`MAX_ORDER_FIELDS`],
    /// [`crate::limits::MAX_PATH_NAMES`]).
    pub fn compile(&self) -> Result<CompiledOrder> {
        self.check()?;
        let mut fields: Vec<&(Path, Direction)> = Vec::new();
        for field in self.fields() {
            // Where a path stands twice, the first has decided.
            if fields.iter().all(|(path, _)| *path != field.0) {
                fields.push(field);
            }
        }
        Ok(CompiledOrder {
            tree: PathTree::new(fields.iter().map(|(path, _)| path)),
            directions: fields.iter().map(|(_, direction)| *direction).collect(),
            fingerprint: Cursor::fingerprint(self),
        })
    }
}

/// An order that was made ready by [`Order::compile`].
#[derive(Debug, Clone)]
pub struct CompiledOrder {
    tree: PathTree,
    /// Of the field in each slot of the tree.
    directions: Box<[Direction]>,
    fingerprint: u64,
}

impl CompiledOrder {
    /// The order of two entries, each a key and a value; equal only for one key.
    ///
    /// Reads each value once and allocates nothing.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::Order;
    ///
    /// let order = Order::by_key().ascending("n").compile()?;
    /// let (a, b) = (Key::new("a")?, Key::new("b")?);
    /// let (one, two) = (b"\xa1\x61n\x01", b"\xa1\x61n\x02");
    /// assert!(order.compare((&b, one), (&a, two)).is_lt());
    /// assert!(order.compare((&b, one), (&a, one)).is_gt(), "the keys decide");
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn compare(&self, a: (&Key, &[u8]), b: (&Key, &[u8])) -> Ordering {
        let (in_a, in_b) = (self.find(a.1), self.find(b.1));
        for (direction, fields) in self.directions.iter().zip(in_a.iter().zip(&in_b)) {
            let order = match fields {
                (Some(a), Some(b)) => a.order(b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            let order = match direction {
                Direction::Ascending => order,
                Direction::Descending => order.reverse(),
            };
            if order.is_ne() {
                return order;
            }
        }
        a.0.as_bytes().cmp(b.0.as_bytes())
    }

    /// Where an entry stands, as bytes that compare as the entries do; for a sorted index.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use grid_core::Key;
    /// use grid_core::query::Order;
    ///
    /// let order = Order::by_key().descending("n").compile()?;
    /// let mut index = BTreeMap::new();
    /// for (key, value) in [("a", b"\xa1\x61n\x01"), ("b", b"\xa1\x61n\x02")] {
    ///     index.insert(order.key(&Key::new(key)?, value), key);
    /// }
    /// assert!(index.into_values().eq(["b", "a"]));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn key(&self, key: &Key, value: &[u8]) -> OrderKey {
        let found = self.find(value);
        let mut bytes = Vec::new();
        for (direction, field) in self.directions.iter().zip(&found) {
            let start = bytes.len();
            match field {
                Some(field) => put_field(field, &mut bytes),
                None => put_missing(&mut bytes),
            }
            if *direction == Direction::Descending {
                bytes[start..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
        bytes.extend_from_slice(key.as_bytes());
        OrderKey::new(bytes)
    }

    /// The cursor of a position in this order, for a page that starts after it.
    #[must_use]
    pub fn cursor(&self, position: &OrderKey) -> Cursor {
        Cursor::new(self.fingerprint, position)
    }

    /// The position that a cursor of this order names.
    ///
    /// # Errors
    /// `Invalid` when the cursor is of another order, or of another version of the format.
    pub fn position(&self, cursor: &Cursor) -> Result<OrderKey> {
        cursor.position(self.fingerprint)
    }

    fn find<'a>(&self, value: &'a [u8]) -> [Option<Value<'a>>; MAX_ORDER_FIELDS] {
        let mut found = [None; MAX_ORDER_FIELDS];
        self.tree
            .visit(value, |slot, field| found[slot] = Some(field));
        found
    }
}
