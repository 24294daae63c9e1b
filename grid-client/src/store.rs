//! Reading a store into a replica.

use grid_core::replica::{Loader, Replica};
use grid_core::traits::{Entry, Runtime, Storage, Table};
use grid_core::{Namespace, Result, RunId};

use crate::settings::ROWS_PER_PAGE;

/// The replica that `storage` holds, with a run that was never used before.
pub(crate) async fn load(
    storage: &dyn Storage,
    runtime: &dyn Runtime,
    namespace: Namespace,
) -> Result<Replica> {
    let mut loader = Loader::new(namespace);
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
            take(entry)?;
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
