//! Short ways to make and read records, for the cases.

use bytes::Bytes;
use grid_core::traits::{AddressedRecord, Persistence, RecordCursor, StateRecord};
use grid_core::{
    History, Hlc, Key, MapAddress, MapName, Namespace, OpId, PartitionId, Record, Result, RunId,
    Sequence, Stamp,
};

/// The partition of cases that need only one.
pub(super) const PARTITION: PartitionId = PartitionId(3);
/// The history of cases that need only one; its highest bit is set on purpose.
pub(super) const HISTORY: History = History(0xF000_0000_0000_0001);
/// The largest bound that the suite is willing to exceed, in bytes.
pub(super) const LARGEST_OVERSIZE_BYTES: usize = 64 * 1024 * 1024;

pub(super) fn address(namespace: &str, map: &str) -> Result<MapAddress> {
    Ok(MapAddress {
        namespace: Namespace::new(namespace)?,
        map: MapName::new(map)?,
    })
}

/// A record of the map `todos`; its stamp follows from its sequence.
pub(super) fn record(key: &str, sequence: u64, value: Option<&[u8]>) -> Result<AddressedRecord> {
    record_in(&address("default", "todos")?, key, sequence, value)
}

pub(super) fn record_in(
    address: &MapAddress,
    key: &str,
    sequence: u64,
    value: Option<&[u8]>,
) -> Result<AddressedRecord> {
    Ok(AddressedRecord {
        address: address.clone(),
        record: Record {
            key: Key::new(key)?,
            value: value.map(Bytes::copy_from_slice),
            stamp: Stamp {
                hlc: Hlc::new(1_700_000_000_000 + sequence, 7),
                op: OpId {
                    run: RunId(u64::MAX - sequence),
                    number: sequence,
                },
            },
            sequence: Sequence(sequence),
            expires_at_ms: None,
        },
    })
}

/// A state record of [`HISTORY`].
pub(super) fn state(sequence: u64) -> StateRecord {
    state_of(HISTORY, sequence)
}

pub(super) fn state_of(history: History, sequence: u64) -> StateRecord {
    StateRecord {
        history,
        sequence: Sequence(sequence),
        data: Bytes::from(format!("state {history} {sequence}")),
    }
}

pub(super) fn cursor(record: &AddressedRecord) -> RecordCursor {
    RecordCursor {
        address: record.address.clone(),
        key: record.record.key.clone(),
    }
}

/// All records of a partition, read in pages of `limit`, with the promises of a page checked.
pub(super) async fn all(
    backend: &dyn Persistence,
    partition: PartitionId,
    limit: usize,
) -> Result<Vec<AddressedRecord>> {
    let mut records: Vec<AddressedRecord> = Vec::new();
    loop {
        let after = records.last().map(cursor);
        let page = backend.load(partition, after.as_ref(), limit).await?;
        assert!(
            page.records.len() <= limit,
            "{} records in a page of at most {limit}",
            page.records.len()
        );
        assert!(
            !(page.more && page.records.is_empty()),
            "an empty page says that there is more: a caller could never get past it"
        );
        let first = page.records.first().map(cursor);
        assert!(
            first.is_none() || first > after,
            "a page starts at or before its cursor: a caller would never get to the end"
        );
        records.extend(page.records);
        if !page.more {
            return Ok(records);
        }
    }
}
