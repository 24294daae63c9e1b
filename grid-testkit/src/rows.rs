//! Short ways to make and read records, for the tests of systems of record.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use grid_core::traits::{AddressedRecord, Persistence, StateRecord};
use grid_core::{
    History, Hlc, Key, MapAddress, MapName, Namespace, OpId, PartitionId, Record, Result, RunId,
    Sequence, Stamp,
};

/// The partition of all these tests.
pub const PARTITION: PartitionId = PartitionId(7);
/// The milliseconds of every stamp: 2024-01-02 03:04:05.678 UTC.
pub const STAMPED_MS: u64 = 1_704_164_645_678;

/// A record of the map `todos`, whose stamp says [`STAMPED_MS`].
///
/// # Panics
/// When `key` is no key.
#[must_use]
pub fn record(key: &str, sequence: u64, value: Option<&[u8]>) -> AddressedRecord {
    AddressedRecord {
        address: MapAddress {
            namespace: Namespace::new("default").unwrap(),
            map: MapName::new("todos").unwrap(),
        },
        record: Record {
            key: Key::new(key).unwrap(),
            value: value.map(Bytes::copy_from_slice),
            stamp: Stamp {
                hlc: Hlc::new(STAMPED_MS, 3),
                op: OpId {
                    run: RunId(u64::MAX),
                    number: sequence,
                },
            },
            sequence: Sequence(sequence),
            expires_at_ms: None,
        },
    }
}

/// A state record of the history of all these tests, as of `sequence`.
#[must_use]
pub fn state(sequence: u64) -> StateRecord {
    StateRecord {
        history: History(0xF000_0000_0000_000A),
        sequence: Sequence(sequence),
        data: Bytes::from_static(b"\x00\xff"),
    }
}

/// Stores records whose state record is that of the last.
///
/// # Errors
/// As those of the backend.
pub async fn store(backend: &dyn Persistence, records: &[AddressedRecord]) -> Result<()> {
    let last = records.iter().map(|record| record.record.sequence.0).max();
    backend
        .store(PARTITION, records, &state(last.unwrap_or(0)))
        .await
}

/// The keys and sequences of all records.
///
/// # Errors
/// As those of the backend.
///
/// # Panics
/// When there are more than 10,000.
pub async fn stands(backend: &dyn Persistence) -> Result<Vec<(String, u64)>> {
    let page = backend.load(PARTITION, None, 10_000).await?;
    assert!(!page.more);
    let pair = |stored: &AddressedRecord| {
        (
            stored.record.key.as_str().to_owned(),
            stored.record.sequence.0,
        )
    };
    Ok(page.records.iter().map(pair).collect())
}

/// What [`stands`] returns when it is this.
#[must_use]
pub fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected
        .iter()
        .map(|(key, sequence)| ((*key).to_owned(), *sequence))
        .collect()
}
