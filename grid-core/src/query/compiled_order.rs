//! An order made ready to be asked about many entries.

use std::cmp::Ordering;

use super::order::{Direction, Order};
use super::order_key::{OrderKey, put_field, put_missing};
use super::page_cursor::PageCursor;
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
    /// [`crate::limits::MAX_PATH_NAMES`]), `Invalid` when a path leads into the key.
    pub fn compile(&self) -> Result<CompiledOrder> {
        self.check()?;
        let fields = self.fields();
        Ok(CompiledOrder {
            tree: PathTree::new(fields.iter().map(|(path, _)| path).enumerate()),
            directions: fields.iter().map(|(_, direction)| *direction).collect(),
            has_key: self.has_key(),
            fingerprint: PageCursor::fingerprint(self),
        })
    }
}

/// An order that was made ready by [`Order::compile`].
#[derive(Debug, Clone)]
pub struct CompiledOrder {
    tree: PathTree,
    /// Of the field in each slot of the tree.
    directions: Box<[Direction]>,
    /// Whether the key is one of the fields, the last; else it decides after them, ascending.
    has_key: bool,
    fingerprint: u64,
}

/// What a number takes, and most texts that entries are ordered by.
const USUAL_FIELD_BYTES: usize = 16;

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
        let (in_a, in_b) = (self.find(a.0, a.1), self.find(b.0, b.1));
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
        let found = self.find(key, value);
        let mut bytes = Vec::with_capacity(USUAL_FIELD_BYTES * found.len() + key.as_bytes().len());
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
        if !self.has_key {
            bytes.extend_from_slice(key.as_bytes());
        }
        OrderKey::new(bytes)
    }

    /// The cursor of a position in this order, for a page that starts after it.
    #[must_use]
    pub fn cursor(&self, position: &OrderKey) -> PageCursor {
        PageCursor::new(self.fingerprint, position)
    }

    /// The position that a cursor of this order names: the bytes of an [`OrderKey`], by which a
    /// `BTreeMap` of them can be asked for what comes after.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use std::ops::Bound;
    ///
    /// use grid_core::Key;
    /// use grid_core::query::{Order, OrderKey};
    ///
    /// let order = Order::by_key().compile()?;
    /// let keys = ["a", "b", "c"].map(|key| order.key(&Key::new(key).expect("a key"), b"\xf6"));
    /// let names = keys.clone().into_iter().zip(["a", "b", "c"]);
    /// let index: BTreeMap<OrderKey, &str> = names.collect();
    ///
    /// let cursor = order.cursor(&keys[0]);
    /// let after = (Bound::Excluded(order.position(&cursor)?), Bound::Unbounded);
    /// let page: Vec<_> = index.range::<[u8], _>(after).take(20).map(|(_, name)| *name).collect();
    /// assert_eq!(page, ["b", "c"]);
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Invalid` when the cursor is of another order, or of another version of the format: the
    /// reader starts from the front.
    pub fn position<'c>(&self, cursor: &'c PageCursor) -> Result<&'c [u8]> {
        cursor.position(self.fingerprint)
    }

    fn find<'a>(&self, key: &'a Key, value: &'a [u8]) -> [Option<Value<'a>>; MAX_ORDER_FIELDS] {
        let mut found = [None; MAX_ORDER_FIELDS];
        let tell = |slot: usize, field| found[slot] = Some(field);
        self.tree.visit(key.as_bytes(), value, tell);
        found
    }
}
