//! Acknowledged ops a second at the level `journaled`, beside what the same number of writers gets
//! who write each op to PostgreSQL themselves, with synchronous commit.
//!
//! The server writes behind to the same PostgreSQL meanwhile. Both sides take turns; what is left to
//! write behind after one of the server's is waited for and not counted.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use grid_core::Result;
use grid_core::traits::{Persistence, Runtime};
use grid_server::Settings;
use sqlx::{Connection as _, PgConnection};

use super::drain::drained;
use super::load::Loader;
use super::served::Served;
use super::workload::value;
use super::{failed, rows_per_s};
use crate::figure::Figure;

/// How long a side writes in one turn.
const TURN: Duration = Duration::from_secs(3);
const TURNS: usize = 5;
/// Entries that each writer writes in turn.
const ENTRIES: u32 = 2_000;

/// So many connections, with so many ops under way on each.
struct Case {
    connections: u32,
    under_way: u32,
    ours: &'static str,
    direct: &'static str,
    /// How many times the rate of writers of their own is promised.
    promised: f64,
}

const CASES: [Case; 2] = [
    Case {
        connections: 1,
        under_way: 1,
        ours: "acks_1x1",
        direct: "direct_1x1",
        promised: 1.0,
    },
    Case {
        connections: 50,
        under_way: 64,
        ours: "acks_50x64",
        direct: "direct_50x64",
        promised: 5.0,
    },
];

/// Measures every case against the PostgreSQL at `url`, where `persistence` is as well.
pub(super) async fn measure(
    runtime: &Arc<dyn Runtime>,
    url: &str,
    persistence: Arc<dyn Persistence>,
) -> Result<Vec<Figure>> {
    let settings = Settings::default();
    let served = Served::start(runtime, persistence, settings).await?;
    let mut figures = Vec::new();
    let mut runs = 1;
    for case in &CASES {
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            let ours = acknowledged(runtime, &served.url, case, runs).await?;
            runs += u64::from(case.connections);
            // What is left to write behind is no burden of the other side.
            drained(runtime, &served.server).await;
            turns.push((ours, written(runtime, url, case).await?));
        }
        let (ours, direct) = middle(turns);
        figures.push(Figure {
            metric: "ops_per_s",
            target: Some(case.promised * direct),
            ..rows_per_s(case.ours, ours)
        });
        figures.push(Figure {
            metric: "ops_per_s",
            ..rows_per_s(case.direct, direct)
        });
    }
    served.server.shutdown().await?;
    Ok(figures)
}

/// The turn in the middle by what the sides have to each other: disks have moods, which last longer
/// than a turn.
fn middle(mut turns: Vec<(f64, f64)>) -> (f64, f64) {
    let ratio = |(ours, direct): &(f64, f64)| ours / direct;
    turns.sort_unstable_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    turns.get(turns.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a few million")]
fn rate(ops: impl IntoIterator<Item = u64>, time: Duration) -> f64 {
    ops.into_iter().sum::<u64>() as f64 / time.as_secs_f64()
}

/// What the server acknowledges in one turn.
async fn acknowledged(
    runtime: &Arc<dyn Runtime>,
    url: &str,
    case: &Case,
    first_run: u64,
) -> Result<f64> {
    let connecting = (0..case.connections)
        .map(|number| Loader::connect(runtime, url, first_run + u64::from(number), value().0));
    let loaders = try_join_all(connecting).await?;
    let begun = runtime.monotonic();
    let writing = (0_u32..)
        .zip(loaders)
        .map(|(number, mut loader)| async move {
            let keys = number * ENTRIES..(number + 1) * ENTRIES;
            let in_time = |_| runtime.monotonic() - begun < TURN;
            loader.write(keys, case.under_way, in_time).await
        });
    let ops = try_join_all(writing).await?;
    Ok(rate(ops, runtime.monotonic() - begun))
}

/// What PostgreSQL commits in one turn. A connection has one statement under way; more writers on it
/// would only wait for each other.
async fn written(runtime: &Arc<dyn Runtime>, url: &str, case: &Case) -> Result<f64> {
    let mut connections = Vec::new();
    for _ in 0..case.connections {
        connections.push(PgConnection::connect(url).await.map_err(failed)?);
    }
    if let Some(first) = connections.first_mut() {
        let table = "CREATE TABLE IF NOT EXISTS bench_direct
                         (key text COLLATE \"C\" PRIMARY KEY, value jsonb NOT NULL)";
        sqlx::raw_sql(table).execute(first).await.map_err(failed)?;
    }
    let begun = runtime.monotonic();
    let writing = (0_u32..)
        .zip(connections)
        .map(|(number, mut connection)| async move {
            let (_, json) = value();
            let mut ops = 0;
            for key in (number * ENTRIES..(number + 1) * ENTRIES).cycle() {
                if runtime.monotonic() - begun >= TURN {
                    break;
                }
                sqlx::query(
                    "INSERT INTO bench_direct VALUES ($1, $2::jsonb)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )
                .bind(format!("customer/{key:08}"))
                .bind(&json)
                .execute(&mut connection)
                .await
                .map_err(failed)?;
                ops += 1;
            }
            Ok::<u64, grid_core::Error>(ops)
        });
    let ops = try_join_all(writing).await?;
    Ok(rate(ops, runtime.monotonic() - begun))
}
