//! Cases about calls that overlap.

use bytes::Bytes;
use futures::future::{join, join_all};
use futures::{FutureExt, poll};
use grid_core::traits::{Storage, Table};
use grid_core::{Error, ErrorKind, Result};

use super::StorageFixture;
use super::rows::{all, batch, batch_if, keys, put, records};

/// Every read that starts after a batch returned sees it.
pub async fn what_returned_is_seen_by_the_next_read<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("fresh")?;
    for n in 0..100u32 {
        let value = n.to_be_bytes();
        store.apply(batch(vec![put(&table, "k", value)])).await?;
        let read = || store.get(&table, b"k");
        for seen in join_all([read(), read(), read()]).await {
            assert_eq!(seen?.as_deref(), Some(&value[..]));
        }
        let page = store.scan(&table, None, 1).await?;
        assert_eq!(
            page.entries.first().map(|entry| &*entry.value),
            Some(&value[..])
        );
    }
    Ok(())
}

/// Of many batches that race for one precondition, exactly one applies.
pub async fn racing_preconditions_let_one_win<F: StorageFixture>(fixture: &F) -> Result<()> {
    const RACERS: usize = 16;
    let store = fixture.open().await?;
    for round in 0..10 {
        let term = format!("term {round}");
        let table = records(&format!("winner {round}"))?;
        let race = (0..RACERS).map(|racer| {
            let name = racer.to_string();
            let writes = vec![put(&Table::Meta, &term, &name), put(&table, &name, "won")];
            store.apply(batch_if(&term, None, writes))
        });
        let results = join_all(race).await;
        let kinds: Vec<_> = results
            .iter()
            .map(|r| r.as_ref().err().map(Error::kind))
            .collect();
        let won: Vec<usize> = (0..RACERS)
            .filter(|racer| kinds[*racer].is_none())
            .collect();
        assert_eq!(won.len(), 1, "winners: {won:?}");
        let lost = kinds
            .iter()
            .flatten()
            .all(|kind| *kind == ErrorKind::Conflict);
        assert!(lost, "losers are told: {kinds:?}");
        let winner = won[0].to_string();
        assert_eq!(keys(&*store, &table).await?, [winner.as_str()]);
        let term = store.get(&Table::Meta, term.as_bytes()).await?;
        assert_eq!(term.as_deref(), Some(winner.as_bytes()));
    }
    Ok(())
}

/// Counting by compare-and-set from many sides at once arrives at the sum.
pub async fn compare_and_set_loses_no_step<F: StorageFixture>(fixture: &F) -> Result<()> {
    const COUNTERS: u32 = 8;
    const STEPS: u32 = 10;
    let store = fixture.open().await?;
    let store: &dyn Storage = &*store;
    let count = |counter: u32| async move {
        let mut steps = 0;
        while steps < STEPS {
            let before = store.get(&Table::Meta, b"count").await?;
            let value = before.as_deref().map_or(0, number);
            let writes = vec![
                put(&Table::Meta, "count", (value + 1).to_be_bytes()),
                put(&Table::Log, value.to_be_bytes(), counter.to_be_bytes()),
            ];
            match store
                .apply(batch_if("count", before.as_deref(), writes))
                .await
            {
                Ok(()) => steps += 1,
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    for result in join_all((0..COUNTERS).map(count)).await {
        result?;
    }
    let total = store.get(&Table::Meta, b"count").await?;
    assert_eq!(total.as_deref().map(number), Some(COUNTERS * STEPS));
    let log = all(store, &Table::Log, 100).await?;
    assert_eq!(log.len(), (COUNTERS * STEPS) as usize);
    Ok(())
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

/// Hundreds of batches at once all land, each whole.
pub async fn concurrent_batches_all_land<F: StorageFixture>(fixture: &F) -> Result<()> {
    const BATCHES: usize = 300;
    const WRITES: usize = 5;
    let store = fixture.open().await?;
    let table = records("busy")?;
    let apply = |number: usize| {
        let key = |write: usize| format!("{number:03}-{write}");
        let mut writes: Vec<_> = (0..WRITES).map(|n| put(&table, key(n), [])).collect();
        writes.push(put(&Table::Meta, "last", key(0)));
        store.apply(batch(writes))
    };
    for result in join_all((0..BATCHES).map(apply)).await {
        result?;
    }
    let expected: Vec<String> = (0..BATCHES * WRITES)
        .map(|n| format!("{:03}-{}", n / WRITES, n % WRITES))
        .collect();
    assert_eq!(keys(&*store, &table).await?, expected);
    assert!(store.get(&Table::Meta, b"last").await?.is_some());
    Ok(())
}

/// A batch that fails among others fails alone, with its own error.
pub async fn failing_batches_take_no_other_down<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("mixed")?;
    let bound = store.capabilities().max_value_bytes;
    let oversize = (bound < 64 * 1024 * 1024).then(|| Bytes::from(vec![0; bound + 1]));
    let outcome = |number: usize| match (number % 3, &oversize) {
        (1, _) => Some(ErrorKind::Conflict),
        (2, Some(_)) => Some(ErrorKind::TooLarge),
        _ => None,
    };
    let apply = |number: usize| {
        let mut writes = vec![put(&table, format!("{number:02}"), "v")];
        if let (Some(ErrorKind::TooLarge), Some(value)) = (outcome(number), &oversize) {
            writes.push(put(&table, "oversize", value));
        }
        store.apply(if outcome(number) == Some(ErrorKind::Conflict) {
            batch_if("term", Some(b"never"), writes)
        } else {
            batch(writes)
        })
    };
    let results = join_all((0..30).map(apply)).await;
    for (number, result) in results.iter().enumerate() {
        let kind = result.as_ref().err().map(Error::kind);
        assert_eq!(kind, outcome(number), "batch {number}");
    }
    let landed = (0..30).filter(|number| outcome(*number).is_none());
    let expected: Vec<String> = landed.map(|number| format!("{number:02}")).collect();
    assert_eq!(keys(&*store, &table).await?, expected);
    Ok(())
}

/// A page that is read while batches change two keys together never shows one of the two.
pub async fn page_never_shows_half_a_batch<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("pairs")?;
    let write = async {
        for n in 0..100u32 {
            let value = n.to_be_bytes();
            let pair = vec![put(&table, "left", value), put(&table, "right", value)];
            store.apply(batch(pair)).await?;
        }
        Ok(())
    };
    let read = async {
        for _ in 0..200 {
            let page = store.scan(&table, None, 2).await?;
            let values: Vec<&Bytes> = page.entries.iter().map(|entry| &entry.value).collect();
            assert!(
                values.is_empty() || values.len() == 2,
                "half a pair: {page:?}"
            );
            assert_eq!(values.first(), values.last(), "two halves of two pairs");
        }
        Ok(())
    };
    let (written, read): (Result<()>, Result<()>) = join(write, read).await;
    written.and(read)
}

/// Paging while others write returns everything that was there all along, once and in order.
pub async fn scan_meets_concurrent_writes<F: StorageFixture>(fixture: &F) -> Result<()> {
    const STAYING: u32 = 200;
    let store = fixture.open().await?;
    let table = records("moving")?;
    let staying: Vec<String> = (0..STAYING).map(|n| format!("{n:03} stays")).collect();
    let writes = staying.iter().map(|key| put(&table, key, "v")).collect();
    store.apply(batch(writes)).await?;
    let disturb = async {
        for n in (0..STAYING).rev() {
            let key = format!("{n:03} visits");
            store.apply(batch(vec![put(&table, &key, "v")])).await?;
            if n % 2 == 0 {
                store
                    .apply(batch(vec![super::rows::delete(&table, &key)]))
                    .await?;
            }
        }
        Ok(())
    };
    let read = async {
        for limit in [1, 3, 50] {
            let mut seen = keys_in_pages(&*store, &table, limit).await?;
            let mut sorted = seen.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(seen, sorted, "pages of {limit}: in order, nothing twice");
            seen.retain(|key| key.ends_with("stays"));
            assert_eq!(seen, staying, "pages of {limit}");
        }
        Ok(())
    };
    let (disturbed, read): (Result<()>, Result<()>) = join(disturb, read).await;
    disturbed.and(read)
}

async fn keys_in_pages(store: &dyn Storage, table: &Table, limit: usize) -> Result<Vec<String>> {
    let entries = all(store, table, limit).await?;
    let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    Ok(entries.iter().map(|entry| text(&entry.key)).collect())
}

/// A caller that goes away in the middle of a batch leaves all of it or none, and a usable store.
pub async fn dropped_apply_leaves_all_or_nothing<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("dropped")?;
    for round in 0..20 {
        let names: Vec<String> = (0..50).map(|n| format!("{round:02}-{n:02}")).collect();
        let writes = names.iter().map(|name| put(&table, name, "v")).collect();
        let mut apply = store.apply(batch(writes)).boxed_local();
        for _ in 0..round % 4 {
            if poll!(&mut apply).is_ready() {
                break;
            }
        }
        drop(apply);
        store
            .apply(batch(vec![put(&Table::Meta, "next", "v")]))
            .await?;
        let mut left = keys(&*store, &table).await?;
        left.retain(|key| key.starts_with(&format!("{round:02}-")));
        assert!(left.is_empty() || left == names, "a part: {left:?}");
    }
    Ok(())
}
