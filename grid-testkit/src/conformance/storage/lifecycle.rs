//! Cases about opening, closing and what outlives them.

use bytes::Bytes;
use grid_core::limits::DEFAULT_MAX_VALUE_BYTES;
use grid_core::traits::Table;
use grid_core::{Error, ErrorKind, Result};

use super::StorageFixture;
use super::rows::{all, batch, delete, delete_range, keys, put, records};

/// A store takes at least the values that the protocol carries, and promises nothing absurd.
pub async fn capabilities_reach_the_protocol<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let capabilities = store.capabilities();
    assert!(capabilities.max_value_bytes > DEFAULT_MAX_VALUE_BYTES);
    assert!(
        capabilities.survives_process || !capabilities.survives_power_loss,
        "what survives a power cut survives the end of the process: {capabilities:?}"
    );
    assert_eq!(
        capabilities,
        store.capabilities(),
        "declared, so it never changes"
    );
    store.flush().await
}

/// What was applied is there after close and reopen, deletions included. Needs
/// `survives_process`.
pub async fn reopening_keeps_everything<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    if !store.capabilities().survives_process {
        return Ok(());
    }
    let table = records("it's kept-😀")?;
    let large = Bytes::from(vec![9; DEFAULT_MAX_VALUE_BYTES]);
    let writes = vec![
        put(&Table::Meta, "identity", "v1"),
        put(&Table::Log, [0xFF; 16], "op"),
        put(&table, "large", &large),
        put(&table, "deleted", "v"),
        put(&table, "range 1", "v"),
        put(&table, "range 2", "v"),
    ];
    store.apply(batch(writes)).await?;
    store.apply(batch(vec![delete(&table, "deleted")])).await?;
    store
        .apply(batch(vec![delete_range(&table, b"range", Some(b"rangf"))]))
        .await?;
    store
        .apply(batch(vec![put(&Table::Meta, "identity", "v2")]))
        .await?;
    store.close().await?;

    for round in 0..3u8 {
        let store = fixture.open().await?;
        let identity = store.get(&Table::Meta, b"identity").await?;
        assert_eq!(identity.as_deref(), Some(&b"v2"[..]), "round {round}");
        assert_eq!(keys(&*store, &table).await?, ["large"], "round {round}");
        assert!(store.get(&table, b"large").await? == Some(large.clone()));
        let log = all(&*store, &Table::Log, 100).await?;
        assert_eq!(log.len(), 1 + usize::from(round));
        store
            .apply(batch(vec![put(&Table::Log, [1, round], "op")]))
            .await?;
        store.close().await?;
    }
    Ok(())
}

/// A place that is open is `Locked` to another opening, until it is closed. Needs `exclusive`.
pub async fn second_opening_is_refused<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    if !store.capabilities().exclusive {
        return Ok(());
    }
    for _ in 0..2 {
        let kind = fixture.open().await.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Locked));
    }
    store
        .apply(batch(vec![put(&Table::Meta, "k", "v")]))
        .await?;
    store.close().await?;
    let next = fixture.open().await?;
    // The one that was closed must not be able to get at the place any more.
    let late = store
        .apply(batch(vec![put(&Table::Meta, "late", "v")]))
        .await;
    assert_eq!(
        late.err().map(|error| error.kind()),
        Some(ErrorKind::Closed)
    );
    assert_eq!(next.get(&Table::Meta, b"late").await?, None);
    store.close().await?;
    let kind = fixture.open().await.err().map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::Locked),
        "a second close frees nothing that is not its own"
    );
    next.close().await
}

/// After close every call fails with `Closed`, and closing again succeeds.
pub async fn closed_store_says_so<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    store
        .apply(batch(vec![put(&Table::Meta, "k", "v")]))
        .await?;
    store.close().await?;
    let write = batch(vec![put(&Table::Meta, "k", "w")]);
    let kinds = [
        ("get", store.get(&Table::Meta, b"k").await.err()),
        ("scan", store.scan(&Table::Meta, None, 1).await.err()),
        ("apply", store.apply(write).await.err()),
        ("flush", store.flush().await.err()),
    ];
    for (call, error) in kinds {
        let kind = error.as_ref().map(Error::kind);
        assert_eq!(kind, Some(ErrorKind::Closed), "{call}");
    }
    store.close().await
}
