//! Cases about the guard: what (history, sequence) lets through.

use grid_core::{History, Result, Sequence};

use super::PersistenceFixture;
use super::rows::{HISTORY, PARTITION, all, record, state, state_of};

/// A record of a lower sequence than the one that stands changes nothing.
pub async fn lower_sequence_changes_nothing<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let stands = [
        record("live", 20, Some(b"new"))?,
        record("tombstone", 21, None)?,
    ];
    backend.store(PARTITION, &stands, &state(21)).await?;
    let old = [
        record("live", 19, Some(b"old"))?,
        record("tombstone", 20, Some(b"back from the dead"))?,
    ];
    backend.store(PARTITION, &old, &state(22)).await?;
    let old = [record("live", 1, None)?];
    backend.store(PARTITION, &old, &state(23)).await?;
    assert_eq!(all(&*backend, PARTITION, 10).await?, stands);
    assert_eq!(backend.load_state(PARTITION).await?, Some(state(23)));
    Ok(())
}

/// At one sequence the call that comes last decides, in every field.
pub async fn equal_sequence_replaces<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    backend
        .store(PARTITION, &[record("k", 5, Some(b"first"))?], &state(5))
        .await?;
    let mut second = record("k", 5, Some(b"second"))?;
    second.record.stamp.op.number = 99;
    second.record.expires_at_ms = Some(1);
    let second = [second];
    backend.store(PARTITION, &second, &state(5)).await?;
    assert_eq!(all(&*backend, PARTITION, 10).await?, second);
    Ok(())
}

/// Storing an old batch again, as after a crash, leaves everything as it stands.
pub async fn replay_changes_nothing<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let batches = [
        vec![record("a", 1, Some(b"1"))?, record("b", 2, Some(b"2"))?],
        vec![record("a", 3, None)?, record("c", 4, Some(b"4"))?],
        vec![record("b", 5, Some(b"5"))?, record("a", 6, Some(b"6"))?],
    ];
    for (batch, through) in batches.iter().zip([2, 4, 6]) {
        backend.store(PARTITION, batch, &state(through)).await?;
    }
    let before = all(&*backend, PARTITION, 10).await?;
    for (batch, through) in batches.iter().zip([2, 4, 6]) {
        backend.store(PARTITION, batch, &state(through)).await?;
        assert_eq!(all(&*backend, PARTITION, 10).await?, before);
        assert_eq!(backend.load_state(PARTITION).await?, Some(state(6)));
    }
    Ok(())
}

/// A higher sequence replaces value by tombstone and tombstone by value; numbers, not text.
pub async fn higher_sequence_wins<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let steps = [
        (9, Some(&b"9"[..])),
        (10, None),
        (100, Some(b"100")),
        (1 << 40, Some(b"")),
    ];
    for (sequence, value) in steps {
        let record = [record("k", sequence, value)?];
        backend.store(PARTITION, &record, &state(sequence)).await?;
        assert_eq!(all(&*backend, PARTITION, 10).await?, record);
        assert_eq!(backend.load_state(PARTITION).await?, Some(state(sequence)));
    }
    Ok(())
}

/// A record of another history replaces, whatever the sequences; then that history guards.
pub async fn another_history_replaces<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let first = [
        record("k", 1_000, Some(b"first"))?,
        record("left", 1_001, Some(b"first"))?,
    ];
    backend.store(PARTITION, &first, &state(1_001)).await?;
    for (history, sequence) in [(History(1), 5), (History(u64::MAX), 3), (HISTORY, 1)] {
        let record_now = record("k", sequence, Some(&history.0.to_be_bytes()))?;
        let records = [record_now.clone()];
        backend
            .store(PARTITION, &records, &state_of(history, sequence))
            .await?;
        let older = [record("k", sequence - 1, Some(b"older"))?];
        backend
            .store(PARTITION, &older, &state_of(history, sequence))
            .await?;
        let got = all(&*backend, PARTITION, 10).await?;
        assert_eq!(got, [record_now, first[1].clone()], "history {history}");
    }
    Ok(())
}

/// The state record moves forward only, and its data comes back byte for byte.
pub async fn state_follows_the_guard<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let mut now = state(10);
    now.data = (0..=255).collect();
    backend.store(PARTITION, &[], &now).await?;
    assert_eq!(backend.load_state(PARTITION).await?, Some(now.clone()));
    backend.store(PARTITION, &[], &state(9)).await?;
    assert_eq!(
        backend.load_state(PARTITION).await?,
        Some(now.clone()),
        "9 after 10"
    );
    now.sequence = Sequence(11);
    now.data = vec![5; 300_000].into();
    backend.store(PARTITION, &[], &now).await?;
    assert_eq!(
        backend.load_state(PARTITION).await?,
        Some(now),
        "11 after 10"
    );
    Ok(())
}

/// A state record of another history replaces, whatever the sequences.
pub async fn state_of_another_history_replaces<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    for (history, sequence) in [
        (HISTORY, 1_000),
        (History(1), 5),
        (History(2), 0),
        (HISTORY, 3),
    ] {
        let state = state_of(history, sequence);
        backend.store(PARTITION, &[], &state).await?;
        assert_eq!(backend.load_state(PARTITION).await?, Some(state));
    }
    Ok(())
}
