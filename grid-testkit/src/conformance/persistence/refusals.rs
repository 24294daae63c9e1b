//! Cases about records that are refused: what the error says, and that the others are not held up.

use bytes::Bytes;
use grid_core::traits::Persistence;
use grid_core::{ErrorKind, Result};

use super::PersistenceFixture;
use super::rows::{LARGEST_OVERSIZE_BYTES, PARTITION, all, record, state};

/// Where the batches of these cases hold what is refused.
const POISON: usize = 5;

/// A value over the bound is refused for good, and the error says so: halving the batch finds it,
/// and the others land.
pub async fn refused_record_is_found_by_halving<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let bound = backend.capabilities().max_value_bytes;
    if bound > LARGEST_OVERSIZE_BYTES {
        return Ok(());
    }
    let oversize = Bytes::from(vec![0; bound + 1]);
    found_by_halving(&*backend, "5", &oversize, ErrorKind::TooLarge).await
}

/// A constraint of the user's refuses a record for good, and the error says so: halving the batch
/// finds it, and the others land. Needs a fixture that [`FORBIDS`] keys.
///
/// [`FORBIDS`]: PersistenceFixture::FORBIDS
pub async fn constraint_is_found_by_halving<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    if !F::FORBIDS {
        return Ok(());
    }
    fixture.forbid("forbidden").await?;
    found_by_halving(&*backend, "forbidden", b"v", ErrorKind::Invalid).await
}

/// Stores a batch in which `key` with `value` is refused with `kind`, in halves.
async fn found_by_halving(
    backend: &dyn Persistence,
    key: &str,
    value: &[u8],
    kind: ErrorKind,
) -> Result<()> {
    let mut batch = Vec::new();
    for index in 0..8_usize {
        let name = index.to_string();
        let (key, value) = if index == POISON {
            (key, value)
        } else {
            (&*name, &b"v"[..])
        };
        batch.push(record(key, index as u64 + 1, Some(value))?);
    }
    let mut refused = Vec::new();
    let mut parts = Vec::from([(0, batch.len())]);
    while let Some((from, to)) = parts.pop() {
        // The state record stays where the whole batch began: no part may move it.
        match backend.store(PARTITION, &batch[from..to], &state(0)).await {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind(), kind, "{error}");
                assert!(!error.is_retryable(), "again would be the same: {error}");
                let middle = from.midpoint(to);
                if middle == from {
                    refused.push(from);
                } else {
                    parts.extend([(from, middle), (middle, to)]);
                }
            }
        }
    }
    assert_eq!(refused, [POISON]);
    batch.remove(POISON);
    backend.store(PARTITION, &[], &state(8)).await?;
    assert_eq!(all(backend, PARTITION, 10).await?, batch);
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(8)));
    Ok(())
}
