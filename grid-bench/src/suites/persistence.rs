//! Batches into systems of record: through the trait, and the same rows by the same statements on a
//! bare connection, in the same run and by turns, so that both meet the same disturbances. Then
//! what a server makes of it: how fast write-behind drains a backlog, and how many ops it
//! acknowledges.
//!
//! Each database is one file, with a [`Side`] for the bare connection.

mod acks;
mod drain;
mod load;
mod mongodb;
mod postgres;
mod served;
mod sqlite;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::traits::{Persistence, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use grid_runtime_tokio::TokioRuntime;

use self::workload::Batch;
use super::median;
use crate::figure::{Better, Figure};

/// The part of the bare rate that is promised.
const PROMISED: f64 = 0.8;
/// Rows of one size that each side stores, at most.
const ROWS: u32 = 40_000;
/// Batches of one size that each side stores, at most.
const BATCHES: u32 = 200;
/// How long one size is measured, beyond the first batches.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_BATCHES: u32 = 3;

/// A bare connection that stores the rows of batches.
#[async_trait]
trait Side: Send {
    async fn store(&mut self, batch: &Batch) -> Result<()>;
    /// Removes what was stored.
    async fn clear(&mut self) -> Result<()>;
}

/// What a database calls its figures.
struct Size {
    /// Rows in a batch.
    rows: u32,
    /// Through the trait.
    store: &'static str,
    /// By write-behind.
    drain: &'static str,
}

/// The rates of stores and drains of such batches, by the names of their figures.
macro_rules! sizes {
    ($($rows:literal: $name:literal),*) => {
        [$($crate::suites::persistence::Size {
            rows: $rows,
            store: $name,
            drain: concat!("drain_", $name),
        }),*]
    };
}
use sizes;

/// Databases to drain to, each empty.
#[async_trait]
trait Fresh: Send {
    /// One of them.
    async fn make(&mut self, runtime: &Arc<dyn Runtime>) -> Result<Arc<dyn Persistence>>;
    /// Takes away the one that was made last, which is closed.
    async fn remove(&mut self) -> Result<()>;
}

/// Measures every case.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(failed)?;
    // As in a program of its own, callers are tasks.
    let measured = tokio.spawn(async move {
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current()?);
        let mut figures = postgres::measure(&runtime).await?;
        figures.extend(sqlite::measure(&runtime).await?);
        figures.extend(mongodb::measure(&runtime).await?);
        Ok(figures)
    });
    tokio.block_on(measured).map_err(failed)?
}

/// The rates of `ours` for every size of batch, beside those of `bare`, which are their limits.
async fn rates(
    sizes: &[Size],
    runtime: &Arc<dyn Runtime>,
    ours: &dyn Persistence,
    bare: &mut dyn Side,
) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (index, size) in (0_u16..).zip(sizes) {
        let rows = size.rows;
        let (mut bare_times, mut our_times) = (Vec::new(), Vec::new());
        let begun = runtime.monotonic();
        for number in 0..(ROWS / rows).min(BATCHES) {
            if number >= FIRST_BATCHES && runtime.monotonic() - begun > PATIENCE {
                break;
            }
            // A partition for each size, so that all of them start with an empty one.
            let batch = Batch::new(PartitionId(index), number, rows)?;
            let start = runtime.monotonic();
            bare.store(&batch).await?;
            let middle = runtime.monotonic();
            ours.store(batch.partition, &batch.records, &batch.state)
                .await?;
            bare_times.push(middle - start);
            our_times.push(runtime.monotonic() - middle);
        }
        let limit = rate(rows, median(bare_times));
        figures.push(Figure {
            target: Some(PROMISED * limit),
            limit: Some(limit),
            ..rows_per_s(size.store, rate(rows, median(our_times)))
        });
    }
    Ok(figures)
}

/// The rates at which a server's write-behind drains to a database, each beside that of the bare
/// connection just before, whose rates of single batches `stored` has. The bare connection has one
/// batch under way; write-behind has some of several partitions, and exceeds it where the database
/// takes them together.
async fn drains(
    sizes: &[Size],
    stored: &[Figure],
    runtime: &Arc<dyn Runtime>,
    bare: &mut dyn Side,
    databases: &mut dyn Fresh,
) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (size, stored) in sizes.iter().zip(stored) {
        let expected = stored.limit.unwrap_or_default();
        let limit = drain::bare_rate(runtime, bare, size.rows, expected).await?;
        let database = databases.make(runtime).await?;
        let drained = drain::rate(runtime, database, size.rows, expected).await?;
        databases.remove().await?;
        figures.push(Figure {
            target: Some(PROMISED * limit),
            limit: Some(limit),
            ..rows_per_s(size.drain, drained)
        });
    }
    Ok(figures)
}

fn rate(rows: u32, time: Duration) -> f64 {
    f64::from(rows) / time.as_secs_f64()
}

fn rows_per_s(case: &'static str, value: f64) -> Figure {
    Figure {
        suite: "persistence",
        case,
        metric: "rows_per_s",
        value,
        unit: "/s",
        better: Better::Higher,
        target: None,
        limit: None,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(
        ErrorKind::Io,
        "measure persistence",
        "the bare side or its server failed",
    )
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `test` where connections can be made.
    pub(super) fn with_runtime(test: impl AsyncFnOnce(Arc<dyn Runtime>)) {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio.block_on(async {
            let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current().unwrap());
            test(runtime).await;
        });
    }
}
