//! Cases about keys, values, order, pages and tables.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::Result;
use grid_core::limits::{DEFAULT_MAX_VALUE_BYTES, MAX_KEY_BYTES, MAX_MAP_NAME_BYTES};
use grid_core::traits::Table;

use super::StorageFixture;
use super::rows::{all, batch, delete_range, keys, put, records};

/// A key that was never written is `None`, and its table an empty last page.
pub async fn absent_keys_are_none<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    for table in [Table::Meta, Table::Log, records("todos")?] {
        assert_eq!(store.get(&table, b"k").await?, None);
        let page = store.scan(&table, None, 10).await?;
        assert!(page.entries.is_empty() && !page.more, "{table:?}: {page:?}");
    }
    store
        .apply(batch(vec![put(&Table::Meta, "k", "v")]))
        .await?;
    assert_eq!(store.get(&Table::Meta, b"K").await?, None);
    assert_eq!(store.get(&Table::Meta, b"k\0").await?, None);
    assert_eq!(store.get(&Table::Log, b"k").await?, None);
    Ok(())
}

/// Empty values, and every byte in keys and values, come back as they were.
pub async fn values_come_back_whole<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("todos")?;
    let bytes: Vec<u8> = (0..=255).collect();
    let writes = vec![
        put(&table, "empty", ""),
        put(&table, &bytes, &bytes),
        put(&table, "0123", "0123"),
        put(&table, "é😀", "é😀\0"),
    ];
    store.apply(batch(writes)).await?;
    assert_eq!(store.get(&table, b"empty").await?, Some(Bytes::new()));
    assert_eq!(store.get(&table, &bytes).await?.as_deref(), Some(&*bytes));
    assert_eq!(
        store.get(&table, b"0123").await?.as_deref(),
        Some(&b"0123"[..])
    );
    let emoji = store.get(&table, "é😀".as_bytes()).await?;
    assert_eq!(emoji.as_deref(), Some("é😀\0".as_bytes()));
    Ok(())
}

/// Keys are ordered by their bytes: not by letters, numbers, length or locale.
pub async fn scan_follows_byte_order<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("ordered")?;
    let mut expected: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    for text in [
        "é", "e", "É", "z", "ß", "😀", "a b", "a-b", "a/b", "A", "10", "9", "2", "ab",
    ] {
        expected.push(text.as_bytes().to_vec());
    }
    expected.extend([vec![0xFF; 2], vec![0xFF, 0], vec![0, 0], vec![0, 0xFF]]);
    expected.sort();
    expected.dedup();
    let mut shuffled = expected.clone();
    shuffled.sort_by_key(|key| (key.len(), key.iter().rev().copied().collect::<Vec<_>>()));
    shuffled.reverse();
    let writes = shuffled.iter().map(|key| put(&table, key, key)).collect();
    store.apply(batch(writes)).await?;
    for limit in [1000, 17] {
        let entries = all(&*store, &table, limit).await?;
        let got: Vec<&[u8]> = entries.iter().map(|entry| &*entry.key).collect();
        assert_eq!(got, expected, "pages of {limit}");
        assert!(entries.iter().all(|entry| entry.key == entry.value));
    }
    Ok(())
}

/// Pages of any size, one after the other, are the table: nothing twice, nothing missing.
pub async fn scan_pages_join_up<F: StorageFixture>(fixture: &F) -> Result<()> {
    const COUNT: usize = 60;
    let store = fixture.open().await?;
    let table = Table::Log;
    let expected: Vec<String> = (0..COUNT).map(|n| format!("k{n:02}")).collect();
    let writes = expected.iter().map(|key| put(&table, key, key)).collect();
    store.apply(batch(writes)).await?;
    for limit in [1, 2, 7, COUNT - 1, COUNT, COUNT + 1, 10_000] {
        let entries = all(&*store, &table, limit).await?;
        let got: Vec<&[u8]> = entries.iter().map(|entry| &*entry.key).collect();
        let expected: Vec<&[u8]> = expected.iter().map(String::as_bytes).collect();
        assert_eq!(got, expected, "pages of {limit}");
    }
    let first = store.scan(&table, None, COUNT - 1).await?;
    assert!(first.more, "one entry is left");
    Ok(())
}

/// The cursor of a scan need not be a key that exists.
pub async fn scan_starts_after_an_absent_key<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("gaps")?;
    let writes = ["b", "d", "f"].map(|key| put(&table, key, key)).to_vec();
    store.apply(batch(writes)).await?;
    for (after, expected) in [
        (&b"a"[..], &["b", "d", "f"][..]),
        (b"b", &["d", "f"]),
        (b"b\0", &["d", "f"]),
        (b"c", &["d", "f"]),
        (b"f", &[]),
        (&[0xFF], &[]),
    ] {
        let page = store.scan(&table, Some(after), 10).await?;
        let got: Vec<&[u8]> = page.entries.iter().map(|entry| &*entry.key).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|key| key.as_bytes()).collect();
        assert_eq!(got, expected, "after {after:?}");
    }
    Ok(())
}

/// Keys of the longest size are told apart by their last byte.
pub async fn long_keys_differ_at_their_last_byte<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("long")?;
    let key = |last: u8| {
        let mut key = "ü".repeat(MAX_KEY_BYTES / 2).into_bytes();
        key.pop();
        key.push(last);
        key
    };
    let writes = (0..=255u8).map(|last| put(&table, key(last), [last]));
    store.apply(batch(writes.collect())).await?;
    for last in 0..=255u8 {
        let value = store.get(&table, &key(last)).await?;
        assert_eq!(value.as_deref(), Some(&[last][..]));
    }
    assert_eq!(all(&*store, &table, 100).await?.len(), 256);
    Ok(())
}

/// Map names that are equal to a careless backend, or that mean something to its language.
fn awkward_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "to-do",
        "to_do",
        "todo",
        "Todo",
        "TODO",
        "todo ",
        " todo",
        "todo\u{a0}",
        "meta",
        "log",
        "Meta",
        "Log",
        "records",
        "entries",
        "1",
        "01",
        "it's",
        "\"quoted\"",
        "`tick`",
        "a;b",
        "x'); DROP TABLE entries; --",
        "100%",
        "%",
        "_",
        "a/b",
        "a\\b",
        "a:b",
        "a.b",
        "a\nb",
        "a\tb",
        "..",
        ".",
        "*",
        "?",
        "#",
        "$maps",
        "😀",
        "😀😀",
        "ß",
        "ss",
        "é",
        "e\u{301}",
        "İ",
        "i",
        "\u{200b}",
        "\u{feff}",
        "名前",
        "\u{10ffff}",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("n".repeat(MAX_MAP_NAME_BYTES));
    names.push("n".repeat(MAX_MAP_NAME_BYTES - 1));
    names.push("😀".repeat(MAX_MAP_NAME_BYTES / 4));
    names
}

/// Whatever the name of a map, its table is its own.
pub async fn any_map_name_is_a_table_of_its_own<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let names = awkward_names();
    let mut writes = vec![
        put(&Table::Meta, "key", "meta"),
        put(&Table::Log, "key", "log"),
    ];
    for name in &names {
        writes.push(put(&records(name)?, "key", format!("records {name}")));
    }
    store.apply(batch(writes)).await?;
    for (index, name) in names.iter().enumerate() {
        let table = records(name)?;
        let expected = format!("records {name}");
        let value = store.get(&table, b"key").await?;
        assert_eq!(value.as_deref(), Some(expected.as_bytes()), "{name:?}");
        let entries = all(&*store, &table, 10).await?;
        assert_eq!(entries.len(), 1, "{name:?} shows entries of another table");
        // Emptying every second one must not touch its neighbours.
        if index % 2 == 0 {
            store
                .apply(batch(vec![delete_range(&table, b"", None)]))
                .await?;
        }
    }
    for (index, name) in names.iter().enumerate() {
        let left = all(&*store, &records(name)?, 10).await?.len();
        assert_eq!(left, index % 2, "{name:?}");
    }
    let meta = store.get(&Table::Meta, b"key").await?;
    assert_eq!(meta.as_deref(), Some(&b"meta"[..]));
    let log = store.get(&Table::Log, b"key").await?;
    assert_eq!(log.as_deref(), Some(&b"log"[..]));
    Ok(())
}

/// Two hundred tables, filled by turns, each hold their own.
pub async fn many_tables_stay_apart<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let mut expected: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for round in 0..5 {
        let mut writes = Vec::new();
        for map in 0..200 {
            let key = format!("{round}-{map}");
            writes.push(put(&records(&format!("map {map}"))?, &key, ""));
            expected.entry(map).or_default().push(key);
        }
        store.apply(batch(writes)).await?;
    }
    for (map, expected) in expected {
        let table = records(&format!("map {map}"))?;
        assert_eq!(keys(&*store, &table).await?, expected, "map {map}");
    }
    Ok(())
}

/// Values around page sizes and up to four times the protocol's bound, where declared.
pub async fn large_values_come_back_whole<F: StorageFixture>(fixture: &F) -> Result<()> {
    let store = fixture.open().await?;
    let table = records("large")?;
    let bound = store.capabilities().max_value_bytes;
    let sizes = [
        1,
        1_000,
        4_095,
        4_096,
        4_097,
        65_536,
        DEFAULT_MAX_VALUE_BYTES,
    ];
    let beyond = [DEFAULT_MAX_VALUE_BYTES * 4 + 1];
    let sizes: Vec<usize> = sizes
        .into_iter()
        .chain(beyond)
        .filter(|n| *n <= bound)
        .collect();
    let value =
        |size: usize| -> Vec<u8> { (0..=250).cycle().skip(size % 251).take(size).collect() };
    for size in &sizes {
        let key = format!("{size:09}");
        store
            .apply(batch(vec![put(&table, key, value(*size))]))
            .await?;
    }
    let entries = all(&*store, &table, 3).await?;
    assert_eq!(entries.len(), sizes.len());
    for (entry, size) in entries.iter().zip(&sizes) {
        assert!(
            entry.value == value(*size),
            "the value of {size} bytes changed"
        );
    }
    Ok(())
}
