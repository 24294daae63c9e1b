//! What a query of a map on this device found.

use bytes::Bytes;
use grid_core::query::PageCursor;
use grid_core::{Key, Result};
use serde::de::DeserializeOwned;

use crate::value::decode;

/// The answer to a [`LocalQuery`](crate::LocalQuery): a page of entries, and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer<V> {
    /// The entries, in the order of the query.
    pub entries: Vec<(Key, V)>,
    /// Whether this device held all that could be in the answer: whether the map, or as much of it
    /// as was opened, was ever complete here ([`Map::is_loaded`](crate::Map::is_loaded)). If not,
    /// entries may be missing that the server has. Without a server a map is never complete.
    pub complete: bool,
    /// Whether the map was level with the server ([`Map::is_synced`](crate::Map::is_synced)). If
    /// not, the answer may be complete and out of date.
    pub synced: bool,
    /// After which the next page starts; none when this is the last.
    pub next: Option<PageCursor>,
}

impl Answer<Bytes> {
    /// The entries with their values as `T`, in the order of the query. An item is an error when
    /// its value is not a `T`.
    pub fn decoded<T: DeserializeOwned>(&self) -> impl Iterator<Item = Result<(Key, T)>> {
        self.entries.iter().map(|(key, value)| {
            let value = decode(key, value)?;
            Ok((key.clone(), value))
        })
    }
}
