//! Cases about records that come back: whole, in order, page by page.

use bytes::Bytes;
use grid_core::limits::{
    DEFAULT_MAX_VALUE_BYTES, MAX_KEY_BYTES, MAX_MAP_NAME_BYTES, MAX_NAMESPACE_BYTES,
    RECORD_PAGE_BYTES,
};
use grid_core::traits::AddressedRecord;
use grid_core::{Hlc, OpId, PartitionId, Result, RunId, Sequence, Stamp};

use super::PersistenceFixture;
use super::rows::{PARTITION, address, all, cursor, record, record_in, state};

/// A partition that was never stored has no records and no state.
pub async fn new_partition_is_empty<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    for partition in [PartitionId(0), PARTITION, PartitionId(u16::MAX)] {
        let page = backend.load(partition, None, 10).await?;
        assert!(page.records.is_empty() && !page.more, "{page:?}");
        assert_eq!(backend.load_state(partition).await?, None);
        backend
            .collect(partition, Sequence(u64::from(u32::MAX)))
            .await?;
    }
    Ok(())
}

/// Every field of a record comes back as it was, at the ends of its range too.
pub async fn records_come_back_whole<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let bytes: Vec<u8> = (0..=255).collect();
    let mut records = vec![
        record("bytes", 1, Some(&bytes))?,
        record("empty", 2, Some(b""))?,
        record("extreme", 3, Some(b"v"))?,
        record("tombstone", 4, None)?,
        record("zero", 5, Some(b"0123"))?,
        record("é😀", 6, Some("é😀".as_bytes()))?,
    ];
    records[2].record.stamp = Stamp {
        hlc: Hlc::from_u64(u64::MAX),
        op: OpId {
            run: RunId(u64::MAX),
            number: u64::MAX,
        },
    };
    records[2].record.expires_at_ms = Some(u64::MAX);
    records[3].record.expires_at_ms = Some(1);
    records[4].record.stamp = Stamp::ZERO;
    records[4].record.expires_at_ms = Some(0);
    backend.store(PARTITION, &records, &state(6)).await?;
    assert_eq!(all(&*backend, PARTITION, 100).await?, records);
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(6)));
    Ok(())
}

/// Records of several maps and keys in the order of their bytes.
fn ordered() -> Result<Vec<AddressedRecord>> {
    let mut records = Vec::new();
    for namespace in ["a", "a b", "B", "default", "é"] {
        for map in ["1", "10", "9", "a", "a-b", "a/b", "A", "😀"] {
            for key in ["A", "Z", "a", "a/1", "a/10", "a/2", "b", "é", "😀"] {
                let sequence = records.len() as u64 + 1;
                let value = format!("{namespace} {map} {key}");
                let address = address(namespace, map)?;
                records.push(record_in(&address, key, sequence, Some(value.as_bytes()))?);
            }
        }
    }
    records.sort_by_key(cursor);
    Ok(records)
}

/// Records come in the order of namespace, map and key, each by bytes, however stored.
pub async fn load_follows_byte_order<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let expected = ordered()?;
    let mut shuffled = expected.clone();
    shuffled.sort_by_key(|record| record.record.sequence.0 * 7919 % 1009);
    let highest = state(expected.len() as u64);
    backend.store(PARTITION, &shuffled, &highest).await?;
    assert_eq!(all(&*backend, PARTITION, 10_000).await?, expected);
    Ok(())
}

/// Pages of any size, one after the other, are the partition.
pub async fn load_pages_join_up<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let expected = ordered()?;
    let count = expected.len();
    backend
        .store(PARTITION, &expected, &state(count as u64))
        .await?;
    for limit in [1, 2, 9, 10, count - 1, count, count + 1] {
        let got = all(&*backend, PARTITION, limit).await?;
        assert!(
            got == expected,
            "pages of {limit} differ from the partition"
        );
    }
    assert!(
        backend.load(PARTITION, None, count - 1).await?.more,
        "one record is left"
    );
    Ok(())
}

/// The cursor of a page need not be a record that exists.
pub async fn load_starts_after_an_absent_record<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let b = address("n", "b")?;
    let d = address("n", "d")?;
    let records = vec![
        record_in(&b, "k2", 1, Some(b"v"))?,
        record_in(&b, "k4", 2, Some(b"v"))?,
        record_in(&d, "k2", 3, Some(b"v"))?,
    ];
    backend.store(PARTITION, &records, &state(3)).await?;
    for (namespace, map, key, left) in [
        ("m", "z", "z", 3),
        ("n", "a", "z", 3),
        ("n", "b", "k1", 3),
        ("n", "b", "k3", 2),
        ("n", "b", "z", 1),
        ("n", "c", "k1", 1),
        ("n", "d", "k2", 0),
        ("o", "a", "a", 0),
    ] {
        let after = cursor(&record_in(&address(namespace, map)?, key, 0, None)?);
        let page = backend.load(PARTITION, Some(&after), 10).await?;
        assert_eq!(page.records, records[3 - left..], "after {after:?}");
        assert!(!page.more);
    }
    Ok(())
}

/// What is stored in one partition shows in no other.
pub async fn partitions_stay_apart<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let partitions = [0, 1, 2, 10, 255, 256, 4_095, u16::MAX].map(PartitionId);
    for partition in partitions {
        let sequence = u64::from(partition.0) + 1;
        let records = [record(
            "same key",
            sequence,
            Some(&partition.0.to_be_bytes()),
        )?];
        backend.store(partition, &records, &state(sequence)).await?;
    }
    for partition in partitions {
        let sequence = u64::from(partition.0) + 1;
        let expected = [record(
            "same key",
            sequence,
            Some(&partition.0.to_be_bytes()),
        )?];
        assert_eq!(all(&*backend, partition, 10).await?, expected);
        assert_eq!(backend.load_state(partition).await?, Some(state(sequence)));
    }
    Ok(())
}

/// Whatever the names of namespace, map and key, a record stands for itself alone.
pub async fn any_name_is_a_map_of_its_own<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let long_key = "ü".repeat(MAX_KEY_BYTES / 2);
    let mut names: Vec<String> = [
        "to-do",
        "to_do",
        "ToDo",
        "todo",
        "todo ",
        "it's",
        "\"q\"",
        "`t`",
        "x'); DROP TABLE r; --",
        "100%",
        "_",
        "a/b",
        "a\\b",
        "a\nb",
        "\u{feff}",
        "é",
        "e\u{301}",
        "ß",
        "ss",
        "😀",
        "$maps",
        "1",
        "01",
        "1.0",
        "null",
        "\u{10ffff}",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("n".repeat(MAX_MAP_NAME_BYTES.min(MAX_NAMESPACE_BYTES)));
    names.push("n".repeat(MAX_MAP_NAME_BYTES.min(MAX_NAMESPACE_BYTES) - 1));
    let mut records = Vec::new();
    // Neighbours share a map, a namespace, or both, so that a backend that mixes up one sees it.
    for form in 0..4 {
        for name in &names {
            let (namespace, map, key) = match form {
                0 => (name.as_str(), "map", "key"),
                1 => ("default", name.as_str(), "key"),
                2 => ("default", "map", name.as_str()),
                _ => (name.as_str(), name.as_str(), long_key.as_str()),
            };
            let sequence = records.len() as u64 + 1;
            let address = address(namespace, map)?;
            let value = sequence.to_be_bytes();
            records.push(record_in(&address, key, sequence, Some(&value))?);
        }
    }
    backend
        .store(PARTITION, &records, &state(records.len() as u64))
        .await?;
    records.sort_by_key(cursor);
    assert_eq!(all(&*backend, PARTITION, 13).await?, records);
    Ok(())
}

/// Values around page sizes and beyond the protocol's bound, where declared.
pub async fn large_values_come_back_whole<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let bound = backend.capabilities().max_value_bytes;
    let sizes = [
        4_095,
        4_096,
        65_536,
        DEFAULT_MAX_VALUE_BYTES,
        DEFAULT_MAX_VALUE_BYTES * 4 + 1,
    ];
    let mut records = Vec::new();
    for size in sizes.into_iter().filter(|size| *size <= bound) {
        let value: Bytes = (0..=250).cycle().take(size).collect();
        records.push(record(&format!("{size:09}"), size as u64, Some(&value))?);
    }
    let highest = state(DEFAULT_MAX_VALUE_BYTES as u64 * 8);
    backend.store(PARTITION, &records, &highest).await?;
    assert!(
        all(&*backend, PARTITION, 2).await? == records,
        "a large value changed"
    );
    Ok(())
}

/// A page of large values ends before its limit, so that no limit makes one that fills the memory.
pub async fn large_values_end_a_page_early<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let value = vec![7; DEFAULT_MAX_VALUE_BYTES];
    let needed = RECORD_PAGE_BYTES.div_ceil(value.len());
    let mut records = Vec::new();
    for sequence in 1..=2 * needed as u64 + 1 {
        records.push(record(&format!("{sequence:05}"), sequence, Some(&value))?);
    }
    for some in records.chunks(8) {
        backend.store(PARTITION, some, &state(1)).await?;
    }
    let page = backend.load(PARTITION, None, records.len()).await?;
    let bytes: usize = page.records.iter().map(AddressedRecord::bytes).sum();
    assert!(
        bytes <= RECORD_PAGE_BYTES + value.len() && page.more,
        "a page of {bytes} bytes, more: {}",
        page.more
    );
    assert!(
        all(&*backend, PARTITION, records.len()).await? == records,
        "the pages differ from the partition"
    );
    Ok(())
}

/// Thousands of records in one call, more than any statement takes at once.
pub async fn large_batch_lands_whole<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    const COUNT: u64 = 5_000;
    let backend = fixture.open().await?;
    let mut records = Vec::new();
    for sequence in 1..=COUNT {
        let value = sequence.to_be_bytes();
        let value = (sequence % 10 != 0).then_some(&value[..]);
        records.push(record(
            &format!("{:05}", sequence * 7 % COUNT),
            sequence,
            value,
        )?);
    }
    backend.store(PARTITION, &records, &state(COUNT)).await?;
    records.sort_by_key(cursor);
    assert!(
        all(&*backend, PARTITION, 999).await? == records,
        "records differ"
    );
    Ok(())
}
