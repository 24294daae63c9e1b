//! The statements, made once for the schema that a database was opened with.

use std::sync::Arc;

use grid_core::limits::RECORD_PAGE_BYTES;
use sqlx::AssertSqlSafe;

/// The guard: another history replaces, within one history a sequence that is not lower does.
const GUARD: &str = "excluded.history <> stands.history OR excluded.sequence >= stands.sequence";

/// The texts. Each is prepared once in every connection, for any number of rows.
#[derive(Debug)]
pub(crate) struct Statements {
    load: Arc<str>,
    load_state: Arc<str>,
    store: Arc<str>,
    store_records: Arc<str>,
    collect: Arc<str>,
}

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        // Sorted, so that two calls lock what they share in one order, and neighbours in the index
        // come one after another.
        let upsert = format!(
            "INSERT INTO {schema}.records AS stands (partition, namespace, map, key, history,
                 sequence, hlc, run, number, expires_at_ms, value, value_cbor)
             SELECT $1, new.namespace, new.map, new.key, $2, new.sequence, new.hlc, new.run,
                 new.number, new.expires_at_ms, new.value::jsonb, new.value_cbor
             FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                 $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::bytea[])
                 AS new (namespace, map, key, sequence, hlc, run, number, expires_at_ms, value,
                     value_cbor)
             ON CONFLICT (partition, namespace, map, key) DO UPDATE SET
                 history = excluded.history, sequence = excluded.sequence, hlc = excluded.hlc,
                 run = excluded.run, number = excluded.number,
                 expires_at_ms = excluded.expires_at_ms, value = excluded.value,
                 value_cbor = excluded.value_cbor
             WHERE {GUARD}"
        );
        let upsert_state = format!(
            "INSERT INTO {schema}.states AS stands (partition, history, sequence, data)
             VALUES ($1, $2, $13, $14)
             ON CONFLICT (partition) DO UPDATE SET
                 history = excluded.history, sequence = excluded.sequence, data = excluded.data
             WHERE {GUARD}"
        );
        Self {
            load: load(schema).into(),
            load_state: format!(
                "SELECT history, sequence, data FROM {schema}.states WHERE partition = $1"
            )
            .into(),
            store: format!("WITH state AS ({upsert_state}) {upsert}").into(),
            store_records: upsert.into(),
            collect: format!(
                "DELETE FROM {schema}.records
                 WHERE partition = $1 AND sequence <= $2 AND value_cbor IS NULL"
            )
            .into(),
        }
    }

    /// A page: partition, names and key of the cursor, and one more than the limit.
    pub(crate) fn load(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.load))
    }

    /// The state record: partition.
    pub(crate) fn load_state(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.load_state))
    }

    /// Records and state record at once: partition, history, the columns, sequence and data.
    pub(crate) fn store(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.store))
    }

    /// Records alone: partition, history, the columns.
    pub(crate) fn store_records(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.store_records))
    }

    /// Tombstones: partition, horizon.
    pub(crate) fn collect(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.collect))
    }
}

/// The server adds up the sizes, so that no page is larger than it may be, whatever its limit.
fn load(schema: &str) -> String {
    format!(
        "SELECT namespace, map, key, sequence, hlc, run, number, expires_at_ms, value_cbor, through
         FROM (
             SELECT *, (sum(bytes) OVER (ORDER BY namespace, map, key ROWS UNBOUNDED PRECEDING))
                 ::bigint AS through
             FROM (
                 SELECT *, octet_length(key) + coalesce(octet_length(value_cbor), 0) AS bytes
                 FROM {schema}.records
                 WHERE partition = $1 AND (namespace, map, key) > ($2, $3, $4)
                 ORDER BY namespace, map, key LIMIT $5
             ) AS page
         ) AS page
         WHERE through - bytes < {RECORD_PAGE_BYTES}
         ORDER BY namespace, map, key"
    )
}
