//! Cases about opening, closing and what outlives them.

use grid_core::limits::{DEFAULT_MAX_VALUE_BYTES, LEAST_STATE_BYTES};
use grid_core::{Error, ErrorKind, History, PartitionId, Result, Sequence};

use super::PersistenceFixture;
use super::rows::{PARTITION, all, record, state, state_of};

/// A system of record takes at least the values that the protocol carries, and the state records of
/// busy partitions.
pub async fn capabilities_reach_the_protocol<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let capabilities = backend.capabilities();
    assert!(capabilities.max_value_bytes >= DEFAULT_MAX_VALUE_BYTES);
    assert!(capabilities.max_state_bytes >= LEAST_STATE_BYTES);
    assert!(
        capabilities.survives_process || !capabilities.survives_power_loss,
        "what survives a power cut survives the end of the process: {capabilities:?}"
    );
    assert_eq!(
        capabilities,
        backend.capabilities(),
        "declared, so it never changes"
    );
    Ok(())
}

/// What was stored is there after close and reopen, and so is the guard. Needs
/// `survives_process`.
pub async fn reopening_keeps_everything<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    if !backend.capabilities().survives_process {
        return Ok(());
    }
    let records = [record("a", 10, Some(b"v"))?, record("b", 11, None)?];
    backend.store(PARTITION, &records, &state(11)).await?;
    let identity = state_of(History(u64::MAX), 1);
    backend.store(PartitionId::IDENTITY, &[], &identity).await?;
    let collected = [record("c", 12, None)?];
    backend.store(PARTITION, &collected, &state(12)).await?;
    backend
        .store(PARTITION, &[record("b", 13, None)?], &state(13))
        .await?;
    backend.collect(PARTITION, Sequence(12)).await?;
    backend.close().await?;

    let backend = fixture.open().await?;
    backend.store(PARTITION, &records, &state(11)).await?;
    let expected = [records[0].clone(), record("b", 13, None)?];
    assert_eq!(all(&*backend, PARTITION, 10).await?, expected);
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(13)));
    assert_eq!(
        backend.load_state(PartitionId::IDENTITY).await?,
        Some(identity)
    );
    backend.close().await
}

/// After close every call fails with `Closed`, and closing again succeeds.
pub async fn closed_backend_says_so<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let records = [record("k", 1, Some(b"v"))?];
    backend.store(PARTITION, &records, &state(1)).await?;
    backend.close().await?;
    let kinds = [
        ("load", backend.load(PARTITION, None, 1).await.err()),
        ("load_state", backend.load_state(PARTITION).await.err()),
        (
            "store",
            backend.store(PARTITION, &records, &state(2)).await.err(),
        ),
        (
            "collect",
            backend.collect(PARTITION, Sequence(1)).await.err(),
        ),
    ];
    for (call, error) in kinds {
        let kind = error.as_ref().map(Error::kind);
        assert_eq!(kind, Some(ErrorKind::Closed), "{call}");
    }
    backend.close().await
}
