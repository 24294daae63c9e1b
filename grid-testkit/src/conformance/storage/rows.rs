//! Short ways to write and read rows, for the cases.

use bytes::Bytes;
use grid_core::traits::{Batch, Entry, Precondition, Storage, Table, Write};
use grid_core::{MapName, Result};

pub(super) fn records(map: &str) -> Result<Table> {
    Ok(Table::Records(MapName::new(map)?))
}

pub(super) fn put(table: &Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
    Write::Put {
        table: table.clone(),
        key: Bytes::copy_from_slice(key.as_ref()),
        value: Bytes::copy_from_slice(value.as_ref()),
    }
}

pub(super) fn delete(table: &Table, key: impl AsRef<[u8]>) -> Write {
    Write::Delete {
        table: table.clone(),
        key: Bytes::copy_from_slice(key.as_ref()),
    }
}

pub(super) fn delete_range(table: &Table, from: &[u8], to: Option<&[u8]>) -> Write {
    Write::DeleteRange {
        table: table.clone(),
        from: Bytes::copy_from_slice(from),
        to: to.map(Bytes::copy_from_slice),
    }
}

pub(super) fn batch(writes: Vec<Write>) -> Batch {
    Batch {
        precondition: None,
        writes,
    }
}

/// A batch that applies only if `key` of the metadata has this value.
pub(super) fn batch_if(key: &str, equals: Option<&[u8]>, writes: Vec<Write>) -> Batch {
    Batch {
        precondition: Some(Precondition {
            key: Bytes::copy_from_slice(key.as_bytes()),
            equals: equals.map(Bytes::copy_from_slice),
        }),
        writes,
    }
}

/// All entries of a table, read in pages of `limit`, with the promises of a page checked.
pub(super) async fn all(store: &dyn Storage, table: &Table, limit: usize) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map(|entry| entry.key.clone());
        let page = store.scan(table, after.as_deref(), limit).await?;
        assert!(
            page.entries.len() <= limit,
            "{} entries in a page of at most {limit}",
            page.entries.len()
        );
        assert!(
            !(page.more && page.entries.is_empty()),
            "an empty page says that there is more: a caller could never get past it"
        );
        let first = page.entries.first().map(|entry| &entry.key);
        assert!(
            first.is_none() || first > after.as_ref(),
            "a page starts at or before its cursor: a caller would never get to the end"
        );
        entries.extend(page.entries);
        if !page.more {
            return Ok(entries);
        }
    }
}

/// The keys of a table as text, lossily, for messages that can be read.
pub(super) async fn keys(store: &dyn Storage, table: &Table) -> Result<Vec<String>> {
    let entries = all(store, table, 100).await?;
    Ok(entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.key).into_owned())
        .collect())
}
