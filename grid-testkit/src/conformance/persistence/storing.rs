//! Cases about calls that fail or overlap, and about tombstones.

use bytes::Bytes;
use futures::future::{join, join_all};
use grid_core::{ErrorKind, PartitionId, Result, Sequence};

use super::PersistenceFixture;
use super::rows::{LARGEST_OVERSIZE_BYTES, PARTITION, all, record, state};

/// A call that fails leaves the state record where it was, and the backend usable; if declared
/// transactional, no record either.
pub async fn failed_store_moves_no_state<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let capabilities = backend.capabilities();
    if capabilities.max_value_bytes > LARGEST_OVERSIZE_BYTES {
        return Ok(());
    }
    let stands = [record("k", 1, Some(b"v"))?];
    backend.store(PARTITION, &stands, &state(1)).await?;
    let oversize = Bytes::from(vec![7; capabilities.max_value_bytes + 1]);
    let batch = [
        record("k", 2, None)?,
        record("oversize", 3, Some(&oversize))?,
        record("z", 4, Some(b"v"))?,
    ];
    let error = backend.store(PARTITION, &batch, &state(4)).await.err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::TooLarge));
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(1)));
    if capabilities.transactional {
        assert_eq!(all(&*backend, PARTITION, 10).await?, stands);
    }
    let next = [record("k", 5, Some(b"next"))?];
    backend.store(PARTITION, &next, &state(5)).await?;
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(5)));
    Ok(())
}

/// Whoever reads the state record and then the records sees every record that the state contains.
pub async fn state_never_leads<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let write = async {
        for sequence in 1..=60u64 {
            // The newest is the last key, so that a backend that writes in order shows a gap.
            let mut records = vec![record("z newest", sequence, Some(&sequence.to_be_bytes()))?];
            for filler in 0..5 {
                records.push(record(&format!("{filler}"), sequence, Some(b"v"))?);
            }
            backend.store(PARTITION, &records, &state(sequence)).await?;
        }
        Ok(())
    };
    let read = async {
        for _ in 0..60 {
            let Some(state) = backend.load_state(PARTITION).await? else {
                continue;
            };
            let records = all(&*backend, PARTITION, 2).await?;
            assert_eq!(records.len(), 6);
            for record in records {
                assert!(
                    record.record.sequence >= state.sequence,
                    "the state record leads"
                );
            }
        }
        Ok(())
    };
    let (written, read): (Result<()>, Result<()>) = join(write, read).await;
    written.and(read)
}

/// Calls for different partitions at once all land.
pub async fn partitions_store_concurrently<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let backend = &backend;
    let store = |partition: u16| async move {
        for sequence in 1..=5u64 {
            let records = [
                record("same", sequence, Some(&partition.to_be_bytes()))?,
                record(&format!("{sequence}"), sequence, Some(b"v"))?,
            ];
            backend
                .store(PartitionId(partition), &records, &state(sequence))
                .await?;
        }
        Ok(())
    };
    let results: Vec<Result<()>> = join_all((0..40).map(store)).await;
    results.into_iter().collect::<Result<()>>()?;
    for partition in 0..40u16 {
        let records = all(&**backend, PartitionId(partition), 4).await?;
        assert_eq!(records.len(), 6, "partition {partition}");
        assert_eq!(
            records[5],
            record("same", 5, Some(&partition.to_be_bytes()))?
        );
        let stands = backend.load_state(PartitionId(partition)).await?;
        assert_eq!(stands, Some(state(5)));
    }
    Ok(())
}

/// Tombstones come back like records until `collect` reaches their sequence; live records stay.
pub async fn tombstones_are_kept_until_collected<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let records = [
        record("a", 1, None)?,
        record("b", 2, Some(b""))?,
        record("c", 5, None)?,
        record("d", 6, None)?,
        record("e", 7, Some(b"v"))?,
    ];
    let other = PartitionId(PARTITION.0 + 1);
    for partition in [PARTITION, other] {
        backend.store(partition, &records, &state(7)).await?;
        assert_eq!(all(&*backend, partition, 10).await?, records);
    }
    for (horizon, left) in [
        (0, "abcde"),
        (1, "bcde"),
        (4, "bcde"),
        (5, "bde"),
        (100, "be"),
    ] {
        backend.collect(PARTITION, Sequence(horizon)).await?;
        let got = all(&*backend, PARTITION, 10).await?;
        let keys: String = got
            .iter()
            .map(|record| record.record.key.as_str())
            .collect();
        assert_eq!(keys, left, "horizon {horizon}");
    }
    assert_eq!(
        all(&*backend, other, 10).await?,
        records,
        "another partition"
    );
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(7)));
    Ok(())
}

/// After its tombstone was collected, a key is as new.
pub async fn collected_key_can_be_stored_again<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    backend
        .store(PARTITION, &[record("k", 5, None)?], &state(5))
        .await?;
    backend.collect(PARTITION, Sequence(5)).await?;
    let again = [record("k", 6, Some(b"again"))?];
    backend.store(PARTITION, &again, &state(6)).await?;
    backend.collect(PARTITION, Sequence(6)).await?;
    assert_eq!(all(&*backend, PARTITION, 10).await?, again);
    Ok(())
}
