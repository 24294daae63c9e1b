//! How records and state records are written and read back.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::traits::{AddressedRecord, StateRecord};
use grid_core::{
    Hlc, Key, MapAddress, MapName, Namespace, OpId, PartitionId, Record, Result, RunId, Sequence,
    Stamp,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection};

use crate::rows::{ManyRows, repeated};
use crate::writer::{Job, Outcome};
use crate::{MAX_VALUE_BYTES, error};

/// The guard: another history replaces, within one history a sequence that is not lower does.
///
/// Parameters have no numbers although rows share two of them: looking up the name of each would
/// take SQLite longer than the rest.
static UPSERT: ManyRows = ManyRows::new(|rows| {
    format!(
        "INSERT INTO records (partition, history, namespace, map, key, sequence, hlc, run,
             number, expires_at_ms, value)
         VALUES {}
         ON CONFLICT (partition, namespace, map, key) DO UPDATE SET
             history = excluded.history, sequence = excluded.sequence, hlc = excluded.hlc,
             run = excluded.run, number = excluded.number,
             expires_at_ms = excluded.expires_at_ms, value = excluded.value
         WHERE excluded.history <> history OR excluded.sequence >= sequence",
        repeated("(?,?,?,?,?,?,?,?,?,?,?)", rows)
    )
});

const COLLECT: &str = "DELETE FROM records WHERE partition = ? AND sequence <= ? AND value IS NULL";

/// The signed number of the same bits.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// The unsigned number of the same bits.
pub(crate) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// Records of one partition, and its state record.
#[derive(Debug)]
pub(crate) struct StoreJob {
    partition: PartitionId,
    records: Vec<(i64, AddressedRecord)>,
    state_sequence: i64,
    state: StateRecord,
}

impl StoreJob {
    pub(crate) fn new(
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<Self> {
        let checked = |addressed: &AddressedRecord| {
            let bytes = addressed.record.value.as_ref().map_or(0, Bytes::len);
            if bytes > MAX_VALUE_BYTES {
                return Err(error::too_large("store records", bytes));
            }
            Ok((addressed.record.sequence.comparable()?, addressed.clone()))
        };
        Ok(Self {
            partition,
            records: records.iter().map(checked).collect::<Result<_>>()?,
            state_sequence: state.sequence.comparable()?,
            state: state.clone(),
        })
    }

    async fn upsert(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let mut names = Names::default();
        for (mut query, part) in UPSERT.split(&self.records) {
            for (sequence, addressed) in part {
                let (namespace, map) = names.of(&addressed.address);
                let record = &addressed.record;
                query = query
                    .bind(self.partition.0)
                    .bind(signed(self.state.history.0))
                    .bind(namespace)
                    .bind(map)
                    .bind(record.key.as_str())
                    .bind(*sequence)
                    .bind(signed(record.stamp.hlc.as_u64()))
                    .bind(signed(record.stamp.op.run.0))
                    .bind(signed(record.stamp.op.number))
                    .bind(record.expires_at_ms.map(signed))
                    .bind(record.value.as_deref());
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// The names of the map that was met last: neighbours mostly share them.
#[derive(Debug, Default)]
struct Names<'a> {
    last: Option<(&'a MapAddress, Arc<str>, Arc<str>)>,
}

impl<'a> Names<'a> {
    fn of(&mut self, address: &'a MapAddress) -> (Arc<str>, Arc<str>) {
        match &self.last {
            Some((last, namespace, map)) if *last == address => {
                (Arc::clone(namespace), Arc::clone(map))
            }
            _ => {
                let namespace: Arc<str> = address.namespace.as_str().into();
                let map: Arc<str> = address.map.as_str().into();
                self.last = Some((address, Arc::clone(&namespace), Arc::clone(&map)));
                (namespace, map)
            }
        }
    }
}

#[async_trait]
impl Job for StoreJob {
    fn operation(&self) -> &'static str {
        "store records"
    }

    fn bytes(&self) -> usize {
        let records = self.records.iter().map(|(_, record)| record.bytes());
        records.sum::<usize>() + self.state.data.len()
    }

    async fn run(&self, connection: &mut SqliteConnection) -> Result<Outcome, sqlx::Error> {
        self.upsert(connection).await?;
        sqlx::query(
            "INSERT INTO states (partition, history, sequence, data) VALUES (?, ?, ?, ?)
             ON CONFLICT (partition) DO UPDATE SET
                 history = excluded.history, sequence = excluded.sequence, data = excluded.data
             WHERE excluded.history <> history OR excluded.sequence >= sequence",
        )
        .bind(self.partition.0)
        .bind(signed(self.state.history.0))
        .bind(self.state_sequence)
        .bind(&*self.state.data)
        .execute(connection)
        .await?;
        Ok(Outcome::Done)
    }
}

/// The removal of tombstones of one partition.
#[derive(Debug)]
pub(crate) struct CollectJob {
    partition: PartitionId,
    horizon: i64,
}

impl CollectJob {
    /// A horizon above every sequence that can be stored means all tombstones.
    pub(crate) fn new(partition: PartitionId, horizon: Sequence) -> Self {
        Self {
            partition,
            horizon: i64::try_from(horizon.0).unwrap_or(i64::MAX),
        }
    }
}

#[async_trait]
impl Job for CollectJob {
    fn operation(&self) -> &'static str {
        "collect tombstones"
    }

    fn bytes(&self) -> usize {
        0
    }

    async fn run(&self, connection: &mut SqliteConnection) -> Result<Outcome, sqlx::Error> {
        sqlx::query(COLLECT)
            .bind(self.partition.0)
            .bind(self.horizon)
            .execute(connection)
            .await?;
        Ok(Outcome::Done)
    }
}

/// A record as it stands in the file.
#[derive(Debug)]
pub(crate) struct RecordRow {
    namespace: String,
    map: String,
    key: String,
    sequence: i64,
    hlc: i64,
    run: i64,
    number: i64,
    expires_at_ms: Option<i64>,
    value: Option<Vec<u8>>,
}

impl FromRow<'_, SqliteRow> for RecordRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            namespace: row.try_get(0)?,
            map: row.try_get(1)?,
            key: row.try_get(2)?,
            sequence: row.try_get(3)?,
            hlc: row.try_get(4)?,
            run: row.try_get(5)?,
            number: row.try_get(6)?,
            expires_at_ms: row.try_get(7)?,
            value: row.try_get(8)?,
        })
    }
}

impl RecordRow {
    /// About how many bytes the row takes.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }

    /// The record, with its names checked.
    pub(crate) fn into_record(self) -> Result<AddressedRecord> {
        Ok(AddressedRecord {
            address: MapAddress {
                namespace: Namespace::new(self.namespace)?,
                map: MapName::new(self.map)?,
            },
            record: Record {
                key: Key::from_bytes(Bytes::from(self.key))?,
                value: self.value.map(Bytes::from),
                stamp: Stamp {
                    hlc: Hlc::from_u64(unsigned(self.hlc)),
                    op: OpId {
                        run: RunId(unsigned(self.run)),
                        number: unsigned(self.number),
                    },
                },
                sequence: Sequence(unsigned(self.sequence)),
                expires_at_ms: self.expires_at_ms.map(unsigned),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::tests::plan;
    use crate::schema::RECORDS;

    #[test]
    fn collecting_visits_tombstones_only() {
        let plan = plan(&RECORDS, COLLECT);
        assert!(plan.contains("INDEX tombstones"), "{plan}");
    }
}
