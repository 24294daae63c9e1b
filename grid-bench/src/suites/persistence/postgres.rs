//! PostgreSQL: the statement of the backend (UNNEST), and beside it the other way to bring many
//! rows in, COPY into a temporary table. The bare side makes its parameters as the backend does.

use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::{AddressedRecord, Persistence, Runtime};
use grid_core::{Record, Result};
use grid_storage_postgres::{PostgresOptions, PostgresPersistence};
use grid_testkit::servers::{POSTGRES_URL, PostgresServer};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::workload::Batch;
use super::{Fresh, Side, Size, acks, drains, failed, rates, sizes};
use crate::figure::Figure;

const UNNEST: [Size; 4] =
    sizes!(1: "postgres_1", 64: "postgres_64", 1_000: "postgres_1000", 5_000: "postgres_5000");
const COPY: [Size; 4] = sizes!(
    1: "postgres_copy_1",
    64: "postgres_copy_64",
    1_000: "postgres_copy_1000",
    5_000: "postgres_copy_5000"
);

/// What both ways end with, as in the backend.
const CONFLICT: &str = "
    ON CONFLICT (partition, namespace, map, key) DO UPDATE SET
        history = excluded.history, sequence = excluded.sequence, hlc = excluded.hlc,
        run = excluded.run, number = excluded.number, expires_at_ms = excluded.expires_at_ms,
        value = excluded.value, value_cbor = excluded.value_cbor
    WHERE excluded.history <> stands.history OR excluded.sequence >= stands.sequence";
const STATE: &str = "
    INSERT INTO states AS stands (partition, history, sequence, data) VALUES ($1, $2, $3, $4)
    ON CONFLICT (partition) DO UPDATE SET
        history = excluded.history, sequence = excluded.sequence, data = excluded.data
    WHERE excluded.history <> stands.history OR excluded.sequence >= stands.sequence";
const COLUMNS: &str = "partition, namespace, map, key, history, sequence, hlc, run, number,
    expires_at_ms, value, value_cbor";

/// Measures the server that the variable names, or one that syncs every commit to the disk.
pub(super) async fn measure(runtime: &Arc<dyn Runtime>) -> Result<Vec<Figure>> {
    let (url, _server) = match std::env::var(POSTGRES_URL) {
        Ok(url) if !url.is_empty() => (url, None),
        _ => {
            let server = PostgresServer::start(true).map_err(failed)?;
            (server.url(), Some(server))
        }
    };
    let mut figures = Vec::new();
    for (copy, sizes) in [(false, &UNNEST), (true, &COPY)] {
        let ours = Schema::new(&url, "bench_ours", runtime).await?;
        let bare = Schema::new(&url, "bench_bare", runtime).await?;
        let mut side = Bare::new(&url, copy).await?;
        let stored = rates(sizes, runtime, &ours.backend, &mut side).await?;
        ours.remove(&url).await?;
        figures.extend_from_slice(&stored);
        if !copy {
            // It is the statement of the backend.
            let mut schemas = Schemas { url: &url };
            figures.extend(drains(sizes, &stored, runtime, &mut side, &mut schemas).await?);
        }
        bare.remove(&url).await?;
    }
    let mut schemas = Schemas { url: &url };
    let database = schemas.make(runtime).await?;
    figures.extend(acks::measure(runtime, &url, database).await?);
    schemas.remove().await?;
    Ok(figures)
}

/// A schema for each drain.
struct Schemas<'a> {
    url: &'a str,
}

/// What it is called.
const DRAIN: &str = "bench_drain";

#[async_trait]
impl Fresh for Schemas<'_> {
    async fn make(&mut self, runtime: &Arc<dyn Runtime>) -> Result<Arc<dyn Persistence>> {
        Ok(Arc::new(
            Schema::new(self.url, DRAIN, runtime).await?.backend,
        ))
    }

    async fn remove(&mut self) -> Result<()> {
        drop_schema(self.url, DRAIN).await
    }
}

async fn drop_schema(url: &str, name: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    let drop = AssertSqlSafe(format!(
        "DROP SCHEMA {name} CASCADE; DROP TABLE IF EXISTS bench_direct"
    ));
    let dropped = sqlx::raw_sql(drop).execute(&mut connection).await;
    dropped.map_err(failed)?;
    Ok(())
}

/// A schema with the backend's tables.
struct Schema {
    name: &'static str,
    backend: PostgresPersistence,
}

impl Schema {
    async fn new(url: &str, name: &'static str, runtime: &Arc<dyn Runtime>) -> Result<Self> {
        let joint = if url.contains('?') { '&' } else { '?' };
        let options = PostgresOptions::from_url(&format!("{url}{joint}schema={name}"))?;
        let backend = PostgresPersistence::open(options, Arc::clone(runtime)).await?;
        Ok(Self { name, backend })
    }

    async fn remove(self, url: &str) -> Result<()> {
        self.backend.close().await?;
        drop_schema(url, self.name).await
    }
}

struct Bare {
    connection: PgConnection,
    copy: bool,
}

impl Bare {
    async fn new(url: &str, copy: bool) -> Result<Self> {
        let mut connection = PgConnection::connect(url).await.map_err(failed)?;
        sqlx::raw_sql(
            "SET search_path TO bench_bare;
             CREATE TEMP TABLE staging (LIKE records) ON COMMIT DELETE ROWS",
        )
        .execute(&mut connection)
        .await
        .map_err(failed)?;
        Ok(Self { connection, copy })
    }

    async fn unnest(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let rows = batch.records.len();
        let column = |field: fn(&Record) -> u64| -> Vec<i64> {
            let signed = |row: &AddressedRecord| field(&row.record).cast_signed();
            batch.records.iter().map(signed).collect()
        };
        let texts = |text: fn(&AddressedRecord) -> &str| -> Vec<&str> {
            batch.records.iter().map(text).collect()
        };
        let values: Vec<Option<&[u8]>> = batch
            .records
            .iter()
            .map(|row| row.record.value.as_deref())
            .collect();
        let state = STATE.replace("$3", "$13").replace("$4", "$14");
        let statement = format!(
            "WITH state AS ({state})
             INSERT INTO records AS stands ({COLUMNS})
             SELECT $1, n, m, k, $2, s, h, r, o, e, v::jsonb, c
             FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                 $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::bytea[])
                 AS new (n, m, k, s, h, r, o, e, v, c) {CONFLICT}"
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(i32::from(batch.partition.0))
            .bind(batch.state.history.0.cast_signed())
            .bind(texts(|row| row.address.namespace.as_str()))
            .bind(texts(|row| row.address.map.as_str()))
            .bind(texts(|row| row.record.key.as_str()))
            .bind(column(|record| record.sequence.0))
            .bind(column(|record| record.stamp.hlc.as_u64()))
            .bind(column(|record| record.stamp.op.run.0))
            .bind(column(|record| record.stamp.op.number))
            .bind(vec![None::<i64>; rows])
            .bind(vec![batch.json.as_str(); rows])
            .bind(values)
            .bind(batch.state.sequence.0.cast_signed())
            .bind(&*batch.state.data)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn copy(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let mut lines = String::new();
        for AddressedRecord { address, record } in &batch.records {
            // Writing to a string does not fail.
            let _head = write!(
                lines,
                "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t\\N\t{}\t\\\\x",
                batch.partition.0,
                address.namespace.as_str(),
                address.map.as_str(),
                record.key.as_str(),
                batch.state.history.0.cast_signed(),
                record.sequence.0,
                record.stamp.hlc.as_u64(),
                record.stamp.op.run.0,
                record.stamp.op.number,
                batch.json,
            );
            for byte in record.value.as_deref().unwrap_or_default() {
                let _digits = write!(lines, "{byte:02x}");
            }
            lines.push('\n');
        }
        let mut transaction = self.connection.begin().await?;
        let mut staging = transaction.copy_in_raw("COPY staging FROM STDIN").await?;
        staging.send(lines.into_bytes()).await?;
        staging.finish().await?;
        let merge = format!(
            "INSERT INTO records AS stands ({COLUMNS}) SELECT {COLUMNS} FROM staging {CONFLICT}"
        );
        sqlx::query(AssertSqlSafe(merge))
            .execute(&mut *transaction)
            .await?;
        sqlx::query(STATE)
            .bind(i32::from(batch.partition.0))
            .bind(batch.state.history.0.cast_signed())
            .bind(batch.state.sequence.0.cast_signed())
            .bind(&*batch.state.data)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }
}

#[async_trait]
impl Side for Bare {
    async fn store(&mut self, batch: &Batch) -> Result<()> {
        let stored = if self.copy {
            self.copy(batch).await
        } else {
            self.unnest(batch).await
        };
        stored.map_err(failed)
    }

    async fn clear(&mut self) -> Result<()> {
        let clear = sqlx::raw_sql("TRUNCATE records, states");
        clear.execute(&mut self.connection).await.map_err(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use grid_core::PartitionId;

    use super::super::tests::with_runtime;
    use super::*;

    async fn rows(connection: &mut PgConnection, schema: &str) -> Vec<String> {
        let both = format!(
            "SELECT r::text FROM {schema}.records r UNION ALL SELECT s::text FROM {schema}.states s
             ORDER BY 1"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(both)).fetch_all(connection);
        rows.await.unwrap()
    }

    #[test]
    fn both_sides_leave_the_same_rows_in_either_way() {
        with_runtime(async |runtime| {
            let server = PostgresServer::start(false).unwrap();
            let url = server.url();
            let ours = Schema::new(&url, "bench_ours", &runtime).await.unwrap();
            let _tables = Schema::new(&url, "bench_bare", &runtime).await.unwrap();
            let mut unnest = Bare::new(&url, false).await.unwrap();
            let batches = [0, 1].map(|number| Batch::new(PartitionId(3), number, 8).unwrap());
            for batch in &batches {
                let stored = ours
                    .backend
                    .store(batch.partition, &batch.records, &batch.state);
                stored.await.unwrap();
                unnest.store(batch).await.unwrap();
            }
            let expected = rows(&mut unnest.connection, "bench_ours").await;
            assert_eq!(expected.len(), 12 + 1);
            assert_eq!(rows(&mut unnest.connection, "bench_bare").await, expected);
            unnest.clear().await.unwrap();
            let mut copy = Bare::new(&url, true).await.unwrap();
            for batch in &batches {
                copy.store(batch).await.unwrap();
            }
            assert_eq!(rows(&mut unnest.connection, "bench_bare").await, expected);
        });
    }
}
