//! Cases about what a state record holds: how large it may be, and whose data it is.

use bytes::Bytes;
use futures::future::join;
use grid_core::limits::LEAST_STATE_BYTES;
use grid_core::traits::StateRecord;
use grid_core::{ErrorKind, Result};

use super::PersistenceFixture;
use super::rows::{LARGEST_OVERSIZE_BYTES, PARTITION, all, record, state};

fn holding(sequence: u64, data: Bytes) -> StateRecord {
    StateRecord {
        data,
        ..state(sequence)
    }
}

/// At one sequence the call that comes last decides what the state record holds, with records and
/// without; of two that overlap one does, as a whole.
pub async fn state_of_equal_sequence_replaces<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let records = [record("k", 5, Some(b"v"))?];
    let data: [&[u8]; 4] = [b"first", b"", b"a longer third", b"4"];
    for (call, data) in data.into_iter().enumerate() {
        let now = holding(5, Bytes::from_static(data));
        let with = if call.is_multiple_of(2) { 1 } else { 0 };
        backend.store(PARTITION, &records[..with], &now).await?;
        assert_eq!(backend.load_state(PARTITION).await?, Some(now));
    }
    let both = [1, 2].map(|byte| holding(5, vec![byte; 100_000].into()));
    let (first, second) = join(
        backend.store(PARTITION, &[], &both[0]),
        backend.store(PARTITION, &[], &both[1]),
    )
    .await;
    first.and(second)?;
    let stands = backend.load_state(PARTITION).await?;
    assert!(
        both.into_iter().any(|state| Some(state) == stands),
        "neither of two calls that overlapped, or a mixture of both"
    );
    assert_eq!(all(&*backend, PARTITION, 10).await?, records);
    Ok(())
}

/// A state record of many MiB, up to the declared bound, comes back as it was; after close and
/// reopen too, where that is declared.
pub async fn large_state_comes_back_whole<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let mut backend = fixture.open().await?;
    let capabilities = backend.capabilities();
    let bound = capabilities.max_state_bytes.min(LARGEST_OVERSIZE_BYTES);
    for (sequence, bytes) in (1..).zip([1_048_577, LEAST_STATE_BYTES, bound]) {
        let records = [record("k", sequence, Some(b"v"))?];
        let large = holding(sequence, (0..=250).cycle().take(bytes).collect());
        backend.store(PARTITION, &records, &large).await?;
        if capabilities.survives_process {
            backend.close().await?;
            backend = fixture.open().await?;
        }
        let stands = backend.load_state(PARTITION).await?;
        assert!(stands == Some(large), "a state of {bytes} bytes changed");
        assert_eq!(all(&*backend, PARTITION, 10).await?, records);
    }
    backend.store(PARTITION, &[], &state(4)).await?;
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(4)));
    backend.close().await
}

/// A state record over the declared bound is refused by name and for good, and no record lands
/// with it.
pub async fn state_over_the_bound_is_refused<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let bound = backend.capabilities().max_state_bytes;
    if bound > LARGEST_OVERSIZE_BYTES {
        return Ok(());
    }
    let stands = [record("k", 1, Some(b"v"))?];
    backend.store(PARTITION, &stands, &state(1)).await?;
    let over = holding(3, vec![7; bound + 1].into());
    let batch = [record("k", 2, None)?, record("new", 3, Some(b"v"))?];
    let stored = backend.store(PARTITION, &batch, &over).await;
    let Err(error) = stored else {
        panic!("a state record above the bound was stored");
    };
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(!error.is_retryable(), "again would be the same: {error}");
    // Whoever reads it must not look for a record that is too large.
    assert!(error.to_string().contains("state record"), "{error}");
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(1)));
    assert_eq!(all(&*backend, PARTITION, 10).await?, stands);
    backend.store(PARTITION, &batch, &state(3)).await?;
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(3)));
    Ok(())
}
