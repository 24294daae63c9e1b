//! What a user of SQL sees, and how PostgreSQL goes about our statements.

use grid_core::Result;
use grid_core::traits::Persistence;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::place::{Place, run};
use grid_testkit::rows::{PARTITION, record, state, store};

/// `{"text": "é", "done": true, "n": 1.0}`, in this order.
const TODO: &[u8] = b"\xa3\x64text\x62\xc3\xa9\x64done\xf5\x61n\xf9\x3c\x00";

async fn texts(connection: &mut PgConnection, query: &str) -> Vec<Vec<Option<String>>> {
    let rows = sqlx::query(AssertSqlSafe(query.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap();
    let texts = |row: &sqlx::postgres::PgRow| (0..row.len()).map(|index| row.get(index)).collect();
    rows.iter().map(texts).collect()
}

#[test]
fn a_user_of_sql_reads_values_times_and_deletions() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        let mut records = [
            record("a", 1, Some(TODO)),
            record("bytes", 2, Some(b"\x42\x00\xff")),
            record("gone", 3, None),
            record("null", 4, Some(b"\xf6")),
            record("soon", 5, Some(b"\x01")),
        ];
        records[3].record.expires_at_ms = Some(u64::MAX);
        records[4].record.expires_at_ms = Some(1_704_164_646_000);
        store(&backend, &records).await?;

        let mut connection = place.connect().await;
        run(&mut connection, "SET TIME ZONE 'UTC'").await;
        let query = "SELECT namespace, map, key, value::text, encode(value_cbor, 'hex'),
                 stamped_at::text, expires_at::text, deleted::text, history, sequence::text
             FROM entries ORDER BY key";
        let at = "2024-01-02 03:04:05.678+00";
        let row = |key: &str, value: Option<&str>, cbor: Option<&str>, expires: Option<&str>| {
            let sequence = 1 + "abgns".find(&key[..1]).unwrap();
            let said = [
                Some("default"),
                Some("todos"),
                Some(key),
                value,
                cbor,
                Some(at),
                expires,
                Some(if cbor.is_none() { "true" } else { "false" }),
                Some("f00000000000000a"),
                Some(&sequence.to_string()),
            ];
            said.map(|text| text.map(str::to_owned)).to_vec()
        };
        let hex: String = TODO.iter().map(|byte| format!("{byte:02x}")).collect();
        let json = r#"{"n": 1.0, "done": true, "text": "é"}"#;
        assert_eq!(
            texts(&mut connection, query).await,
            [
                row("a", Some(json), Some(&hex), None),
                row("bytes", None, Some("4200ff"), None),
                row("gone", None, None, None),
                row("null", Some("null"), Some("f6"), Some("infinity")),
                row(
                    "soon",
                    Some("1"),
                    Some("01"),
                    Some("2024-01-02 03:04:06+00")
                ),
            ]
        );
        let query = "SELECT key FROM entries WHERE map = 'todos' AND value @> '{\"done\": true}'";
        assert_eq!(
            texts(&mut connection, query).await,
            [[Some("a".to_owned())]]
        );

        let page = backend.load(PARTITION, None, 10).await?;
        assert_eq!(page.records, records, "and clients get the bytes");
        backend.close().await
    })
}

#[test]
fn a_key_that_is_deleted_shows_no_old_value() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        store(&backend, &[record("k", 1, Some(TODO))]).await?;
        store(&backend, &[record("k", 2, Some(b"\x41x"))]).await?;
        let mut connection = place.connect().await;
        let query = "SELECT value::text, deleted::text FROM entries";
        let no = Some("false".to_owned());
        assert_eq!(texts(&mut connection, query).await, [[None, no]]);
        store(&backend, &[record("k", 3, Some(TODO))]).await?;
        store(&backend, &[record("k", 4, None)]).await?;
        let yes = Some("true".to_owned());
        assert_eq!(texts(&mut connection, query).await, [[None, yes]]);
        backend.close().await
    })
}

#[test]
fn pages_and_collecting_search_an_index_and_sort_nothing() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        let records: Vec<_> = (1..=3_000u64)
            .map(|n| record(&format!("{n:05}"), n, (n % 50 != 0).then_some(TODO)))
            .collect();
        store(&backend, &records).await?;
        let mut connection = place.connect().await;
        run(&mut connection, "ANALYZE records").await;
        let mut plan = async |query: &str| {
            let rows = texts(&mut connection, &format!("EXPLAIN {query}")).await;
            let lines: Vec<String> = rows.into_iter().flatten().flatten().collect();
            lines.join("\n")
        };
        // The inner query of a page: what is around it adds up the sizes of what it finds.
        let page = plan(
            "SELECT * FROM records WHERE partition = 7
             AND (namespace, map, key) > ('default', 'todos', '00500')
             ORDER BY namespace, map, key LIMIT 100",
        )
        .await;
        assert!(
            page.contains("records_pkey") && !page.contains("Sort"),
            "{page}"
        );
        assert!(page.contains("ROW(namespace, map, key) >"), "{page}");
        let collect = plan(
            "DELETE FROM records WHERE partition = 7 AND sequence <= 9 AND value_cbor IS NULL",
        )
        .await;
        assert!(collect.contains("tombstones"), "{collect}");
        backend.close().await
    })
}

#[test]
fn a_page_of_large_values_ends_before_its_limit() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        let value = vec![7; 1024 * 1024];
        let records: Vec<_> = (1..=20u64)
            .map(|n| record(&format!("{n:02}"), n, Some(&value)))
            .collect();
        store(&backend, &records).await?;
        let mut read = Vec::new();
        let mut pages = 0;
        loop {
            let after = read
                .last()
                .map(
                    |last: &grid_core::traits::AddressedRecord| grid_core::traits::RecordCursor {
                        address: last.address.clone(),
                        key: last.record.key.clone(),
                    },
                );
            let page = backend.load(PARTITION, after.as_ref(), 20).await?;
            assert!(page.records.len() < 10, "{} records", page.records.len());
            read.extend(page.records);
            pages += 1;
            if !page.more {
                break;
            }
        }
        assert!(read == records && pages >= 3, "{pages} pages");
        backend.close().await
    })
}

#[test]
fn a_batch_of_many_statements_lands_whole_or_not_at_all() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        let count = 21_000u64;
        let mut records: Vec<_> = (1..=count)
            .map(|n| record(&format!("{n:06}"), n, Some(b"\x01")))
            .collect();
        let mut connection = place.connect().await;
        run(
            &mut connection,
            "ALTER TABLE records ADD CONSTRAINT small CHECK (value <> '2')",
        )
        .await;
        // In the last of its statements.
        records[20_999] = record("020999", 20_999, Some(b"\x02"));
        let error = store(&backend, &records).await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        let first = backend.load(PARTITION, None, 1).await?;
        assert!(first.records.is_empty(), "the first statements are undone");
        assert_eq!(backend.load_state(PARTITION).await?, None);
        records[20_999] = record("021000", count, None);
        store(&backend, &records).await?;
        assert_eq!(backend.load_state(PARTITION).await?, Some(state(count)));
        let page = backend.load(PARTITION, None, 30_000).await?;
        assert_eq!(page.records.len(), 21_000);
        backend.close().await
    })
}
