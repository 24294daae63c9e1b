//! Cases about batches: order, ranges, preconditions, all or nothing.

use bytes::Bytes;
use grid_core::traits::Table;
use grid_core::{ErrorKind, Result};

use super::StorageFixture;
use super::rows::{all, batch, batch_if, delete, delete_range, keys, put, records};

/// The largest bound that the suite is willing to exceed, in bytes.
const LARGEST_OVERSIZE_BYTES: usize = 64 * 1024 * 1024;

/// Writes of one batch happen in order; the last on a key decides.
pub async fn later_write_of_a_batch_wins<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("order")?;
    let old = ["e1", "e2", "e3"]
        .map(|key| put(&table, key, "old"))
        .to_vec();
    store.apply(batch(old)).await?;
    let writes = vec![
        put(&table, "twice", "first"),
        put(&table, "twice", "second"),
        put(&table, "gone", "v"),
        delete(&table, "gone"),
        delete(&table, "back"),
        put(&table, "back", "v"),
        put(&table, "e2", "new"),
        delete_range(&table, b"e", Some(b"f")),
        put(&table, "e3", "after"),
        put(&Table::Meta, "twice", "other table"),
    ];
    store.apply(batch(writes)).await?;
    assert_eq!(keys(&*store, &table).await?, ["back", "e3", "twice"]);
    let twice = store.get(&table, b"twice").await?;
    assert_eq!(twice.as_deref(), Some(&b"second"[..]));
    let after = store.get(&table, b"e3").await?;
    assert_eq!(after.as_deref(), Some(&b"after"[..]));
    // And the same again across batches.
    store
        .apply(batch(vec![put(&table, "twice", "third")]))
        .await?;
    let twice = store.get(&table, b"twice").await?;
    assert_eq!(twice.as_deref(), Some(&b"third"[..]));
    Ok(())
}

/// Where a range starts, where it ends, and the keys that are left.
type Range<'a> = (&'a [u8], Option<&'a [u8]>, &'a [&'a [u8]]);

/// A range starts at its first key, ends before its last, and touches no other table.
pub async fn delete_range_includes_its_start_only<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let other = records("other")?;
    store.apply(batch(vec![put(&other, "b", "v")])).await?;
    let b_low: &[u8] = b"b\0";
    let cases: [Range<'_>; 9] = [
        (b"b", Some(b"d"), &[b"a", b"d", b"\xFF", b"\xFF\xFF"]),
        (
            b"b",
            Some(b_low),
            &[b"a", b_low, b"c", b"d", b"\xFF", b"\xFF\xFF"],
        ),
        (
            b"bb",
            Some(b"c"),
            &[b"a", b"b", b_low, b"c", b"d", b"\xFF", b"\xFF\xFF"],
        ),
        (b"", Some(b"c"), &[b"c", b"d", b"\xFF", b"\xFF\xFF"]),
        (b"d", None, &[b"a", b"b", b_low, b"c"]),
        (
            b"\xFF",
            Some(b"\xFF\xFF"),
            &[b"a", b"b", b_low, b"c", b"d", b"\xFF\xFF"],
        ),
        (b"\xFF", None, &[b"a", b"b", b_low, b"c", b"d"]),
        (
            b"",
            Some(b""),
            &[b"a", b"b", b_low, b"c", b"d", b"\xFF", b"\xFF\xFF"],
        ),
        (b"", None, &[]),
    ];
    for (index, (from, to, expected)) in cases.into_iter().enumerate() {
        let table = records(&format!("range {index}"))?;
        let all_keys: [&[u8]; 7] = [b"a", b"b", b_low, b"c", b"d", b"\xFF", b"\xFF\xFF"];
        let writes = all_keys.iter().map(|key| put(&table, key, "v")).collect();
        store.apply(batch(writes)).await?;
        store
            .apply(batch(vec![delete_range(&table, from, to)]))
            .await?;
        let entries = all(&*store, &table, 100).await?;
        let got: Vec<&[u8]> = entries.iter().map(|entry| &*entry.key).collect();
        assert_eq!(got, expected, "from {from:?} to {to:?}");
    }
    assert_eq!(keys(&*store, &other).await?, ["b"]);
    Ok(())
}

/// Removing what is not there, or an upside-down range, changes nothing and is no error.
pub async fn deleting_nothing_is_no_error<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("here")?;
    let nowhere = records("nowhere")?;
    store.apply(batch(vec![put(&table, "k", "v")])).await?;
    let writes = vec![
        delete(&table, "absent"),
        delete(&nowhere, "absent"),
        delete_range(&nowhere, b"", None),
        delete_range(&table, b"l", Some(b"z")),
        delete_range(&table, b"z", Some(b"a")),
    ];
    store.apply(batch(writes)).await?;
    assert_eq!(keys(&*store, &table).await?, ["k"]);
    Ok(())
}

/// A precondition that does not hold gives `Conflict`, and nothing of the batch happens.
pub async fn precondition_holds_or_nothing_happens<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("guarded")?;
    let metadata = vec![
        put(&Table::Meta, "term", "1"),
        put(&Table::Meta, "empty", ""),
    ];
    store.apply(batch(metadata)).await?;
    store.apply(batch(vec![put(&table, "kept", "v")])).await?;
    // The precondition reads metadata, never another table.
    store
        .apply(batch(vec![put(&Table::Log, "absent", "log")]))
        .await?;

    for (key, equals, holds) in [
        ("term", Some(&b"1"[..]), true),
        ("term", Some(b"2"), false),
        ("term", Some(b""), false),
        ("term", Some(b"1\0"), false),
        ("term", None, false),
        ("absent", None, true),
        ("absent", Some(b""), false),
        ("absent", Some(b"log"), false),
        ("empty", Some(b""), true),
        ("empty", None, false),
    ] {
        let writes = vec![
            put(&table, "marker", "v"),
            delete_range(&table, b"kept", Some(b"kepu")),
            put(&Table::Log, "marker", "v"),
        ];
        let result = store.apply(batch_if(key, equals, writes)).await;
        let seen = keys(&*store, &table).await?;
        let logged = store.get(&Table::Log, b"marker").await?.is_some();
        if holds {
            result?;
            assert_eq!((seen, logged), (vec!["marker".to_owned()], true));
            let undo = vec![
                delete(&table, "marker"),
                delete(&Table::Log, "marker"),
                put(&table, "kept", "v"),
            ];
            store.apply(batch(undo)).await?;
        } else {
            let kind = result.err().map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::Conflict), "{key} = {equals:?}");
            assert_eq!((seen, logged), (vec!["kept".to_owned()], false));
        }
    }
    Ok(())
}

/// A batch may change the key that its precondition names: the old value counts.
pub async fn precondition_is_read_before_the_batch_changes_it<F: StorageFixture>(
    fixture: &F,
) -> Result<()> {
    let store = fixture.open().await?;
    for term in 0..5u8 {
        let before = term.checked_sub(1).map(|before| [before]);
        let before = before.as_ref().map(<[u8; 1]>::as_slice);
        let step = || batch_if("term", before, vec![put(&Table::Meta, "term", [term])]);
        store.apply(step()).await?;
        let again = store.apply(step()).await.err().map(|error| error.kind());
        assert_eq!(again, Some(ErrorKind::Conflict), "the term moved to {term}");
    }
    Ok(())
}

/// A value beyond the declared bound gives `TooLarge`, and nothing of the batch happens.
pub async fn oversize_value_leaves_nothing<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let bound = store.capabilities().max_value_bytes;
    if bound > LARGEST_OVERSIZE_BYTES {
        return Ok(());
    }
    let table = records("sized")?;
    store.apply(batch(vec![put(&table, "kept", "v")])).await?;
    let writes = vec![
        put(&table, "before", "v"),
        delete(&table, "kept"),
        put(&table, "oversize", Bytes::from(vec![7; bound + 1])),
        put(&table, "after", "v"),
    ];
    let error = store.apply(batch(writes)).await.err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::TooLarge));
    assert_eq!(keys(&*store, &table).await?, ["kept"]);
    let largest = Bytes::from(vec![7; bound]);
    store
        .apply(batch(vec![put(&table, "largest", &largest)]))
        .await?;
    assert!(store.get(&table, b"largest").await? == Some(largest));
    Ok(())
}

/// Thousands of writes of every sort in one batch, more than any statement takes at once.
pub async fn large_batch_lands_whole<F: StorageFixture>(fixture: &F) -> Result<()> {
    const COUNT: u32 = 5_000;
    let store = fixture.open().await?;
    let tables = [Table::Log, records("odd")?, records("even")?];
    let table_of = |n: u32| &tables[(n % 3) as usize];
    let mut writes = Vec::new();
    for n in 0..COUNT {
        writes.push(put(table_of(n), n.to_be_bytes(), "first"));
    }
    for n in (0..COUNT).step_by(7) {
        writes.push(delete(table_of(n), n.to_be_bytes()));
    }
    for n in (0..COUNT).step_by(14) {
        writes.push(put(table_of(n), n.to_be_bytes(), "second"));
    }
    store.apply(batch(writes)).await?;
    for (index, table) in (0u32..).zip(&tables) {
        let expected: Vec<(u32, &[u8])> = (0..COUNT)
            .filter(|n| n % 3 == index)
            .filter_map(|n| match (n % 14, n % 7) {
                (0, _) => Some((n, &b"second"[..])),
                (_, 0) => None,
                _ => Some((n, &b"first"[..])),
            })
            .collect();
        let entries = all(&*store, table, 777).await?;
        assert_eq!(entries.len(), expected.len(), "{table:?}");
        for (entry, (n, value)) in entries.iter().zip(expected) {
            assert_eq!((&*entry.key, &*entry.value), (&n.to_be_bytes()[..], value));
        }
    }
    Ok(())
}

/// A batch without writes succeeds; with a precondition that does not hold it fails.
pub async fn empty_batch_still_checks_its_precondition<F: StorageFixture>(
    fixture: &F,
) -> Result<()> {
    let store = fixture.open().await?;
    store.apply(batch(Vec::new())).await?;
    store.apply(batch_if("term", None, Vec::new())).await?;
    let error = store
        .apply(batch_if("term", Some(b"1"), Vec::new()))
        .await
        .err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Conflict));
    Ok(())
}
