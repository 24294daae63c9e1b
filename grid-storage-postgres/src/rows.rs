//! Records as columns of arrays, and rows as records.

use bytes::Bytes;
use grid_core::traits::{AddressedRecord, StateRecord};
use grid_core::{
    Hlc, Key, MapAddress, MapName, Namespace, OpId, PartitionId, Record, Result, RunId, Sequence,
    Stamp,
};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{FromRow, PgConnection, Postgres, Row};

use crate::statements::Statements;
use crate::{MAX_VALUE_BYTES, error, json};

/// Most rows in one statement.
const MAX_STATEMENT_ROWS: usize = 10_000;
/// The size beyond which a statement takes no more rows, in bytes; PostgreSQL takes a gigabyte.
const MAX_STATEMENT_BYTES: usize = 32 * 1024 * 1024;

/// The signed number of the same bits.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// The unsigned number of the same bits.
pub(crate) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// Records of one statement, each field an array.
#[derive(Debug, Default)]
pub(crate) struct Columns<'a> {
    namespace: Vec<&'a str>,
    map: Vec<&'a str>,
    key: Vec<&'a str>,
    sequence: Vec<i64>,
    hlc: Vec<i64>,
    run: Vec<i64>,
    number: Vec<i64>,
    expires_at_ms: Vec<Option<i64>>,
    value: Vec<Option<String>>,
    value_cbor: Vec<Option<&'a [u8]>>,
    bytes: usize,
}

impl<'a> Columns<'a> {
    /// The columns of as many statements as `records` need; at least one. The records are sorted,
    /// so that calls lock what they share in one order.
    pub(crate) fn of(records: &'a [AddressedRecord]) -> Result<Vec<Self>> {
        let mut sorted: Vec<&AddressedRecord> = records.iter().collect();
        sorted.sort_by(|a, b| (&a.address, &a.record.key).cmp(&(&b.address, &b.record.key)));
        let mut all = Vec::new();
        let mut columns = Self::default();
        for addressed in sorted {
            if columns.is_full() {
                all.push(std::mem::take(&mut columns));
            }
            columns.push(addressed)?;
        }
        all.push(columns);
        Ok(all)
    }

    fn is_full(&self) -> bool {
        self.key.len() >= MAX_STATEMENT_ROWS || self.bytes >= MAX_STATEMENT_BYTES
    }

    fn push(&mut self, addressed: &'a AddressedRecord) -> Result<()> {
        let record = &addressed.record;
        let bytes = record.value.as_ref().map_or(0, Bytes::len);
        if bytes > MAX_VALUE_BYTES {
            return Err(error::too_large("store records", bytes));
        }
        self.namespace.push(addressed.address.namespace.as_str());
        self.map.push(addressed.address.map.as_str());
        self.key.push(record.key.as_str());
        self.sequence.push(record.sequence.comparable()?);
        self.hlc.push(signed(record.stamp.hlc.as_u64()));
        self.run.push(signed(record.stamp.op.run.0));
        self.number.push(signed(record.stamp.op.number));
        self.expires_at_ms.push(record.expires_at_ms.map(signed));
        self.value
            .push(record.value.as_deref().and_then(json::of_value));
        self.value_cbor.push(record.value.as_deref());
        self.bytes += record.key.as_bytes().len() + 2 * bytes;
        Ok(())
    }

    fn bind(
        &self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Query<'static, Postgres, PgArguments> {
        query
            .bind(&*self.namespace)
            .bind(&*self.map)
            .bind(&*self.key)
            .bind(&*self.sequence)
            .bind(&*self.hlc)
            .bind(&*self.run)
            .bind(&*self.number)
            .bind(&*self.expires_at_ms)
            .bind(&*self.value)
            .bind(&*self.value_cbor)
    }
}

/// One call of `store`, checked.
#[derive(Debug)]
pub(crate) struct StoreCall<'a> {
    partition: i32,
    history: i64,
    first: Vec<Columns<'a>>,
    last: Columns<'a>,
    sequence: i64,
    data: &'a [u8],
}

impl<'a> StoreCall<'a> {
    pub(crate) fn new(
        partition: PartitionId,
        records: &'a [AddressedRecord],
        state: &'a StateRecord,
    ) -> Result<Self> {
        let mut first = Columns::of(records)?;
        let last = first.pop().unwrap_or_default();
        Ok(Self {
            partition: partition.0.into(),
            history: signed(state.history.0),
            first,
            last,
            sequence: state.sequence.comparable()?,
            data: &state.data,
        })
    }

    /// Whether it needs a transaction around its statements.
    pub(crate) fn is_long(&self) -> bool {
        !self.first.is_empty()
    }

    /// Runs all statements; the state record goes with the last.
    pub(crate) async fn run(
        &self,
        statements: &Statements,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        for columns in &self.first {
            let query = sqlx::query(statements.store_records())
                .bind(self.partition)
                .bind(self.history);
            columns.bind(query).execute(&mut *connection).await?;
        }
        let query = sqlx::query(statements.store())
            .bind(self.partition)
            .bind(self.history);
        self.last
            .bind(query)
            .bind(self.sequence)
            .bind(self.data)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// A record as it stands in the table.
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
    value_cbor: Option<Vec<u8>>,
    /// The sizes of this row and those before it in its page, in bytes.
    pub(crate) through: i64,
}

impl FromRow<'_, PgRow> for RecordRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            namespace: row.try_get(0)?,
            map: row.try_get(1)?,
            key: row.try_get(2)?,
            sequence: row.try_get(3)?,
            hlc: row.try_get(4)?,
            run: row.try_get(5)?,
            number: row.try_get(6)?,
            expires_at_ms: row.try_get(7)?,
            value_cbor: row.try_get(8)?,
            through: row.try_get(9)?,
        })
    }
}

impl RecordRow {
    /// The record, with its names checked.
    pub(crate) fn into_record(self) -> Result<AddressedRecord> {
        Ok(AddressedRecord {
            address: MapAddress {
                namespace: Namespace::new(self.namespace)?,
                map: MapName::new(self.map)?,
            },
            record: Record {
                key: Key::from_bytes(Bytes::from(self.key))?,
                value: self.value_cbor.map(Bytes::from),
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
