//! Cases about calls for one partition that overlap, as those of a former owner and its successor
//! do, and about calls that are given up.

use std::collections::BTreeMap;
use std::task::{Context, Waker};

use futures::future::{join, join_all};
use grid_core::{Result, Sequence};

use super::PersistenceFixture;
use super::rows::{PARTITION, all, record, state};

/// Overlapping calls that write the same keys leave the highest sequence of each, and the highest
/// state record, in whatever order they take effect.
pub async fn guard_holds_when_calls_overlap<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    const CALLS: u64 = 40;
    const KEYS: u64 = 12;
    let backend = fixture.open().await?;
    let backend = &backend;
    // Each call writes half of the keys, in an order of its own; the highest sequences start first.
    let store = |call: u64| async move {
        let mut records = Vec::new();
        for key in 0..KEYS {
            if (key + call).is_multiple_of(2) {
                let value = call.to_be_bytes();
                let value = (!call.is_multiple_of(5)).then_some(&value[..]);
                records.push(record(&format!("{key:02}"), call * KEYS + key, value)?);
            }
        }
        let turn = usize::try_from(call).unwrap_or(0) % records.len();
        records.rotate_left(turn);
        backend
            .store(PARTITION, &records, &state(call * KEYS + KEYS))
            .await?;
        Ok(records)
    };
    let stored: Vec<Result<_>> = join_all((1..=CALLS).rev().map(store)).await;
    let mut highest = BTreeMap::new();
    for records in stored {
        for record in records? {
            let stands = highest
                .entry(record.record.key.clone())
                .or_insert_with(|| record.clone());
            if stands.record.sequence < record.record.sequence {
                *stands = record;
            }
        }
    }
    let expected: Vec<_> = highest.into_values().collect();
    assert_eq!(all(&**backend, PARTITION, 5).await?, expected);
    let stands = backend.load_state(PARTITION).await?;
    assert_eq!(stands, Some(state(CALLS * KEYS + KEYS)));
    Ok(())
}

/// Whoever pages through a partition while it changes sees every record that stands still exactly
/// once, and no key twice.
pub async fn pages_join_up_under_change<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    const STILL: u64 = 60;
    let backend = fixture.open().await?;
    let mut still = Vec::new();
    let mut first = Vec::new();
    for key in 0..STILL {
        still.push(record(&format!("{key:03}"), key + 1, Some(b"still"))?);
        first.push(record(&format!("{key:03} goes"), 100 + key, None)?);
    }
    let both: Vec<_> = still.iter().chain(&first).cloned().collect();
    backend.store(PARTITION, &both, &state(200)).await?;
    let change = async {
        for round in 0..STILL {
            let sequence = 1_000 + round * 10;
            // Before and behind wherever the reader is: new keys, changed ones, ones that go.
            let records = [
                record(
                    &format!("{:03} new", round * 7 % STILL),
                    sequence,
                    Some(b"v"),
                )?,
                record(
                    &format!("{:03} new", round * 11 % STILL + STILL),
                    sequence + 1,
                    None,
                )?,
            ];
            backend
                .store(PARTITION, &records, &state(sequence + 1))
                .await?;
            backend.collect(PARTITION, Sequence(100 + round)).await?;
        }
        Ok(())
    };
    let read = async {
        for limit in [1, 2, 3, 7, 20] {
            // `all` sees to it that keys ascend.
            let read = all(&*backend, PARTITION, limit).await?;
            let (unchanged, _): (Vec<_>, Vec<_>) = read
                .into_iter()
                .partition(|record| record.record.value.as_deref() == Some(b"still"));
            assert_eq!(unchanged, still, "pages of {limit}");
        }
        Ok(())
    };
    let (changed, read): (Result<()>, Result<()>) = join(change, read).await;
    changed.and(read)
}

/// A call that its caller gives up in the middle leaves the backend usable, the state record not
/// ahead of the records, and nothing that a later call could not replace.
pub async fn abandoned_call_harms_nothing<F: PersistenceFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.open().await?;
    let before = [record("a", 1, Some(b"1"))?, record("b", 2, Some(b"1"))?];
    backend.store(PARTITION, &before, &state(2)).await?;
    for round in 1..=20u64 {
        let sequence = round * 10;
        let records = [
            record("a", sequence, Some(b"2"))?,
            record("b", sequence + 1, Some(b"2"))?,
        ];
        let then = state(sequence + 1);
        let mut call = Box::pin(backend.store(PARTITION, &records, &then));
        // One look starts it; what it then waits for never comes back to this caller.
        let _outcome = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(call);
        let stands = backend.load_state(PARTITION).await?;
        for record in all(&*backend, PARTITION, 10).await? {
            let sequence = record.record.sequence;
            // Each round writes both keys, and counts on from their sequences.
            let contained = stands
                .as_ref()
                .is_some_and(|state| state.sequence > sequence.next());
            assert!(!contained, "the state record leads: {stands:?}, {record:?}");
        }
        let again = [
            record("a", sequence + 2, Some(b"3"))?,
            record("b", sequence + 3, Some(b"3"))?,
        ];
        backend
            .store(PARTITION, &again, &state(sequence + 3))
            .await?;
        assert_eq!(all(&*backend, PARTITION, 10).await?, again);
        assert_eq!(
            backend.load_state(PARTITION).await?,
            Some(state(sequence + 3))
        );
    }
    Ok(())
}
