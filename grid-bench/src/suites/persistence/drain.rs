//! How fast write-behind brings a backlog to the database.
//!
//! The database is held up while clients write, half of it entries that it has already; then it is
//! let go, and the time counts until nothing is left. The bare side stores the same rows of the
//! same partitions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use grid_core::traits::{AddressedRecord, Persistence, Runtime, StateRecord};
use grid_core::{PartitionId, Result};
use grid_server::{Server, Settings};
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};
use tokio::sync::watch;

use super::Side;
use super::load::Loader;
use super::served::Served;
use super::workload::{Backlog, value};

/// How long the backlog takes at the bare rate.
const SECONDS: f64 = 3.0;
/// Entries of a backlog, at least and at most.
const ENTRIES: (f64, f64) = (2_000.0, 400_000.0);
const CONNECTIONS: u32 = 4;
const UNDER_WAY: u32 = 1_024;
/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(1);

/// Holds up what is stored until it is open.
#[derive(Debug)]
struct Gate(watch::Sender<bool>);

#[async_trait]
impl PersistenceHooks for Gate {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        let mut open = self.0.subscribe();
        // The gate outlives its server.
        drop(open.wait_for(|open| *open).await);
        inner.store(partition, records, state).await
    }
}

/// How many entries a backlog has that takes [`SECONDS`] at `rate` rows a second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between the least and the most"
)]
fn entries(rate: f64) -> u32 {
    let (least, most) = ENTRIES;
    (rate * SECONDS).clamp(least, most) as u32
}

/// Rows a second that the bare side keeps up by itself with the rows of such a backlog, in batches
/// of up to `rows`; it stores about `expected`. Now and then a batch waits for the database to tidy
/// up: that counts.
pub(super) async fn bare_rate(
    runtime: &Arc<dyn Runtime>,
    bare: &mut dyn Side,
    rows: u32,
    expected: f64,
) -> Result<f64> {
    let (entries, settings) = (entries(expected), Settings::default());
    bare.clear().await?;
    for batch in Backlog::new(entries / 2, &settings)?.batches(rows.max(1_000), 0) {
        bare.store(&batch?).await?;
    }
    let backlog = Backlog::new(entries, &settings)?;
    let mut took = Duration::ZERO;
    for batch in backlog.batches(rows, 1) {
        let batch = batch?;
        let begun = runtime.monotonic();
        bare.store(&batch).await?;
        took += runtime.monotonic() - begun;
    }
    Ok(f64::from(entries) / took.as_secs_f64())
}

/// Changes a second that reach `persistence`, which is empty, in batches of up to `rows`; the bare
/// side stores about `expected`.
pub(super) async fn rate(
    runtime: &Arc<dyn Runtime>,
    persistence: Arc<dyn Persistence>,
    rows: u32,
    expected: f64,
) -> Result<f64> {
    let entries = entries(expected);
    let gate = Arc::new(HookedPersistence::new(
        persistence,
        Gate(watch::Sender::new(true)),
    ));
    let settings = Settings {
        flush_records: rows as usize,
        flush_interval_ms: 10,
        ..Settings::default()
    };
    let served = Served::start(runtime, gate.clone(), settings).await?;
    write(runtime, &served.url, entries / 2, 1).await?;
    drained(runtime, &served.server).await;
    gate.hooks().0.send_replace(false);
    write(runtime, &served.url, entries, 1 + u64::from(CONNECTIONS)).await?;
    // Every entry was written once, so that a change is a row.
    let waiting = served.server.admin().lag().changes;
    let begun = runtime.monotonic();
    gate.hooks().0.send_replace(true);
    drained(runtime, &served.server).await;
    let took = runtime.monotonic() - begun;
    served.server.shutdown().await?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "at most as many as there are entries"
    )]
    let waiting = waiting as f64;
    Ok(waiting / took.as_secs_f64())
}

/// Writes `entries` entries once each, over several connections.
async fn write(runtime: &Arc<dyn Runtime>, url: &str, entries: u32, first_run: u64) -> Result<()> {
    let part = entries / CONNECTIONS;
    let writers = (0..CONNECTIONS).map(|number| async move {
        let run = first_run + u64::from(number);
        let mut loader = Loader::connect(runtime, url, run, value().0).await?;
        let under_way = UNDER_WAY.min(part);
        let wanted = u64::from(part - under_way);
        let keys = number * part..(number + 1) * part;
        loader
            .write(keys, under_way, |acknowledged| acknowledged <= wanted)
            .await
    });
    try_join_all(writers).await?;
    Ok(())
}

/// Waits until the database has everything.
pub(super) async fn drained(runtime: &Arc<dyn Runtime>, server: &Server) {
    while server.admin().lag().changes > 0 {
        runtime.sleep(LOOK).await;
    }
}
