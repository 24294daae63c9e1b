//! Durable writes into SQLite: a store's puts, beside the bare statement doing the same in the same
//! run, and a system of record's batches.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use grid_core::traits::{
    AddressedRecord, Batch, Persistence, Runtime, StateRecord, Storage, Table, Write,
};
use grid_core::{
    Error, ErrorKind, History, OpId, PartitionId, Record, Result, RunId, Sequence, Stamp,
};
use grid_runtime_tokio::TokioRuntime;
use grid_storage_sqlite::{SqliteOptions, SqlitePersistence, SqliteStorage};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{median, sample};
use crate::figure::{Better, Figure};

/// Ops in a batch.
const OPS: u32 = 1_000;
/// Bytes of a value; with its key of 16 an op is 150 bytes.
const VALUE_BYTES: usize = 134;
/// Batches of each side. They take turns, so that both meet the same disturbances.
const BATCHES: u32 = 200;
/// Batches of one op of each side.
const SINGLES: u32 = 300;
/// The part of the bare statement's rate that is promised.
const PROMISED: f64 = 0.8;
/// Records in a batch of the system of record, and batches.
const RECORDS: u32 = 5_000;
const STORES: u32 = 40;
/// Entries in a page of a scan.
const PAGE: usize = 1_000;

/// Measures every case.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(failed)?;
    // Not in the system's temporary directory: that is often memory, where a sync is free.
    let directory = tempfile::tempdir_in(".").map_err(failed)?;
    tokio.block_on(async {
        let mut sides = Sides::open(directory.path()).await?;
        let (bare, ours) = sides.medians(0, BATCHES, OPS).await?;
        let (bare_single, single) = sides.medians(BATCHES, SINGLES, 1).await?;
        let scanned = sides.scan().await?;
        let stored = store_records(directory.path(), &sides.runtime).await?;
        sides.close().await?;
        let rate = |time: Duration| f64::from(OPS) / time.as_secs_f64();
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        Ok(vec![
            Figure {
                target: Some(PROMISED * rate(bare)),
                limit: Some(rate(bare)),
                ..higher("put_batched", "ops_per_s", rate(ours))
            },
            Figure {
                unit: "us",
                better: Better::Lower,
                limit: Some(micros(bare_single)),
                ..higher("put_single", "us", micros(single))
            },
            higher("scan", "rows_per_s", scanned),
            higher(
                "records",
                "rows_per_s",
                f64::from(RECORDS) / stored.as_secs_f64(),
            ),
        ])
    })
}

fn higher(case: &'static str, metric: &'static str, value: f64) -> Figure {
    Figure {
        suite: "storage",
        case,
        metric,
        value,
        unit: "/s",
        better: Better::Higher,
        target: None,
        limit: None,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Io, "measure storage", "the bare side failed").with_source(error)
}

/// The store, and a bare connection to a file of its own with the same table and the same sync.
struct Sides {
    runtime: TokioRuntime,
    store: SqliteStorage,
    bare: SqliteConnection,
}

impl Sides {
    async fn open(directory: &Path) -> Result<Self> {
        let runtime = TokioRuntime::current()?;
        let path = directory.join("store.db");
        let store = SqliteStorage::open(path, SqliteOptions::default(), &runtime).await?;
        let mut bare = SqliteConnectOptions::new()
            .filename(directory.join("bare.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(failed)?;
        sqlx::raw_sql(
            "CREATE TABLE entries (space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
             PRIMARY KEY (space, key)) STRICT, WITHOUT ROWID",
        )
        .execute(&mut bare)
        .await
        .map_err(failed)?;
        Ok(Self {
            runtime,
            store,
            bare,
        })
    }

    /// The median times of `batches` batches of `ops` ops: the bare side's, the store's.
    async fn medians(
        &mut self,
        first: u32,
        batches: u32,
        ops: u32,
    ) -> Result<(Duration, Duration)> {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for number in first..first + batches {
            let batch = batch(number, ops);
            let start = self.runtime.monotonic();
            put_bare(&mut self.bare, &batch).await.map_err(failed)?;
            let middle = self.runtime.monotonic();
            self.store.apply(batch).await?;
            bare.push(middle - start);
            ours.push(self.runtime.monotonic() - middle);
        }
        Ok((median(bare), median(ours)))
    }

    /// Rows per second of a scan through the whole table.
    async fn scan(&self) -> Result<f64> {
        let start = self.runtime.monotonic();
        let mut rows: u32 = 0;
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.store.scan(&Table::Log, after.as_deref(), PAGE).await?;
            rows += u32::try_from(page.entries.len()).map_err(failed)?;
            after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                let time = self.runtime.monotonic() - start;
                return Ok(f64::from(rows) / time.as_secs_f64());
            }
        }
    }

    async fn close(self) -> Result<()> {
        self.bare.close().await.map_err(failed)?;
        self.store.close().await
    }
}

/// The median time in which a system of record stores a batch; half of its keys are new.
async fn store_records(directory: &Path, runtime: &TokioRuntime) -> Result<Duration> {
    let path = directory.join("records.db");
    let records = SqlitePersistence::open(path, SqliteOptions::default(), runtime).await?;
    let mut times = Vec::new();
    for number in 0..STORES {
        let first = number * RECORDS / 2;
        let batch = (first..first + RECORDS)
            .map(|index| record(index, number))
            .collect::<Result<Vec<_>>>()?;
        let state = StateRecord {
            history: History(1),
            sequence: Sequence(u64::from(number + 1) * u64::from(RECORDS)),
            data: Bytes::new(),
        };
        let start = runtime.monotonic();
        records.store(PartitionId(0), &batch, &state).await?;
        times.push(runtime.monotonic() - start);
    }
    records.close().await?;
    Ok(median(times))
}

fn record(index: u32, number: u32) -> Result<AddressedRecord> {
    let sequence = u64::from(number) * u64::from(RECORDS) + u64::from(index % RECORDS) + 1;
    Ok(AddressedRecord {
        address: sample::address()?,
        record: Record {
            key: sample::key(index)?,
            value: Some(Bytes::from(vec![7; VALUE_BYTES])),
            stamp: Stamp {
                op: OpId {
                    run: RunId(1),
                    number: sequence,
                },
                ..Stamp::ZERO
            },
            sequence: Sequence(sequence),
            expires_at_ms: None,
        },
    })
}

fn batch(number: u32, ops: u32) -> Batch {
    let put = |op: u32| {
        let key = (u128::from(number) << 64) | u128::from(op);
        Write::Put {
            table: Table::Log,
            key: Bytes::copy_from_slice(&key.to_be_bytes()),
            value: Bytes::from(vec![7; VALUE_BYTES]),
        }
    };
    Batch {
        precondition: None,
        writes: (0..ops).map(put).collect(),
    }
}

async fn put_bare(bare: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *bare).await?;
    for write in &batch.writes {
        if let Write::Put { key, value, .. } = write {
            sqlx::query(
                "INSERT INTO entries (space, key, value) VALUES (?, ?, ?)
                 ON CONFLICT (space, key) DO UPDATE SET value = excluded.value",
            )
            .bind("log")
            .bind(&**key)
            .bind(&**value)
            .execute(&mut *bare)
            .await?;
        }
    }
    sqlx::query("COMMIT").execute(&mut *bare).await?;
    Ok(())
}
