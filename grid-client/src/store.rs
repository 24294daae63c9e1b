//! Reading a store into a replica.

use bytes::Bytes;
use grid_core::replica::{Loader, Replica};
use grid_core::traits::{Entry, Runtime, Storage, Table};
use grid_core::{Error, ErrorKind, Namespace, Result, RunId};

use crate::settings::ROWS_PER_PAGE;

/// The replica that `storage` holds, with a run that was never used before.
pub(crate) async fn load(
    storage: &dyn Storage,
    runtime: &dyn Runtime,
    namespace: Namespace,
) -> Result<Replica> {
    let mut loader = Loader::new(namespace);
    let key = Bytes::from_static(Loader::FORMAT_KEY);
    if let Some(value) = storage.get(&Table::Meta, &key).await? {
        let entry = Entry { key, value };
        let taken = loader.meta(&entry);
        taken.map_err(|error| damaged(&Table::Meta, &entry, error))?;
    }
    each(storage, &Table::Meta, |entry| loader.meta(entry)).await?;
    each(storage, &Table::Log, |entry| loader.log(entry)).await?;
    for map in loader.maps() {
        let table = Table::Records(map.clone());
        each(storage, &table, |entry| loader.record(&map, entry)).await?;
    }
    let mut run = RunId(runtime.random());
    while !loader.is_fresh_run(run) {
        run = RunId(runtime.random());
    }
    let mut replica = loader.finish(run)?;
    replica.limit_values(storage.capabilities().max_value_bytes);
    Ok(replica)
}

/// Hands every entry of a table to `take`, page by page.
async fn each(
    storage: &dyn Storage,
    table: &Table,
    mut take: impl FnMut(&Entry) -> Result<()>,
) -> Result<()> {
    let mut after = None;
    loop {
        let page = storage.scan(table, after.as_deref(), ROWS_PER_PAGE).await?;
        for entry in &page.entries {
            take(entry).map_err(|error| damaged(table, entry, error))?;
        }
        if !page.more {
            return Ok(());
        }
        let Some(last) = page.entries.into_iter().next_back() else {
            return Ok(());
        };
        after = Some(last.key);
    }
}

/// Names the row that is damaged; other errors speak for themselves.
fn damaged(table: &Table, entry: &Entry, error: Error) -> Error {
    if error.kind() != ErrorKind::Corrupt {
        return error;
    }
    let table = match table {
        Table::Meta => "meta".to_owned(),
        Table::Log => "log".to_owned(),
        Table::Records(map) => format!("records of `{map}`"),
    };
    let message = "a row of the store is damaged; restore the store from a backup, or open another \
                   one: what this one had not pushed is then missing";
    Error::new(ErrorKind::Corrupt, "open store", message)
        .with("table", table)
        .with("key", entry.key.escape_ascii())
        .with_source(error)
}
