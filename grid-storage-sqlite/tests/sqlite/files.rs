//! Files that cannot be opened, and what the error says about them.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use grid_core::traits::{Persistence, Runtime, StateRecord, Storage, Table};
use grid_core::{DriverKind, Error, ErrorKind, History, PartitionId, Registry, Result, Sequence};
use grid_runtime_tokio::TokioRuntime;
use grid_storage_sqlite::{DRIVER, SqliteOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::place::{Place, keys, persistence, puts, storage};

/// The error of opening a store there; it must name the path and hold `part`.
async fn refused(path: &Path, kind: ErrorKind, part: &str) -> Error {
    let opened = storage(path.to_owned(), SqliteOptions::default()).await;
    let error = opened.expect_err("the file must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(text.contains(part), "{part:?} is not in: {text}");
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(text.contains(name), "{name:?} is not in: {text}");
    error
}

async fn run_sql(path: &Path, sql: &str) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut connection = options.connect().await?;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

#[test]
fn a_missing_directory_is_named_with_the_command_that_makes_it() {
    let place = Place::new(0);
    let path = place.path("no/such/store.db");
    let directory = place.path("no/such");
    let command = format!("mkdir -p '{}'", directory.display());
    place.block_on(refused(&path, ErrorKind::NotFound, &command));
    assert!(!place.path("no").exists(), "nothing was made");
}

#[test]
fn a_directory_or_a_path_through_a_file_is_no_store() {
    let place = Place::new(0);
    fs::create_dir(place.path("directory")).unwrap();
    fs::write(place.path("file"), "text").unwrap();
    place.block_on(async {
        refused(
            &place.path("directory"),
            ErrorKind::Invalid,
            "is a directory",
        )
        .await;
        let through = place.path("file/store.db");
        let error = storage(through, SqliteOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("not a directory"), "{error}");
    });
}

#[test]
fn a_garbage_file_is_corrupt_and_stays_as_it_is() {
    let place = Place::new(0);
    let noise: Vec<u8> = (0..20_000u32).map(|n| (n * 31 % 251) as u8).collect();
    let mut header = b"SQLite format 3\0".to_vec();
    header.extend(&noise);
    for (name, content) in [
        ("text.db", b"hello".to_vec()),
        ("noise.db", noise),
        ("head.db", header),
    ] {
        let path = place.path(name);
        fs::write(&path, &content).unwrap();
        place.block_on(refused(&path, ErrorKind::Corrupt, "move it"));
        assert!(fs::read(&path).unwrap() == content, "{name} was changed");
    }
}

#[test]
fn a_damaged_page_is_corrupt_when_it_is_read() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let store = storage(place.file(), SqliteOptions::default()).await?;
        let value = Bytes::from(vec![7; 3_000]);
        let entries = (0..200).map(|n| (format!("{n:03}"), value.clone()));
        store.apply(puts(entries)).await?;
        store.close().await?;
        let mut content = fs::read(place.file()).unwrap();
        let length = content.len();
        content[length / 4..length / 2].fill(0xA5);
        fs::write(place.file(), content).unwrap();

        let store = storage(place.file(), SqliteOptions::default()).await?;
        let error = keys(&store)
            .await
            .expect_err("a quarter of the file is noise");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("it's a store.db"), "{error}");
        store.close().await
    })
}

#[test]
fn somebody_elses_database_is_refused_and_stays_as_it_is() {
    let place = Place::new(0);
    place.block_on(async {
        let path = place.path("other.db");
        run_sql(&path, "CREATE TABLE notes (text)").await.unwrap();
        let content = fs::read(&path).unwrap();
        refused(&path, ErrorKind::Invalid, "another program").await;
        assert!(fs::read(&path).unwrap() == content, "the file was changed");
    });
}

#[test]
fn a_store_and_a_system_of_record_are_told_apart() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let records = place.path("records.db");
        persistence(records.clone()).await?.close().await?;
        refused(&records, ErrorKind::Invalid, "a server's system of record").await;
        let store = storage(place.file(), SqliteOptions::default()).await?;
        store.close().await?;
        let error = persistence(place.file()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.message().contains("a client's local store"),
            "{error}"
        );
        Ok(())
    })
}

#[test]
fn a_schema_of_the_future_names_both_versions() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let store = storage(place.file(), SqliteOptions::default()).await?;
        store.apply(puts([("k".to_owned(), Bytes::new())])).await?;
        store.close().await?;
        run_sql(&place.file(), "PRAGMA user_version = 7")
            .await
            .unwrap();
        refused(&place.file(), ErrorKind::Version, "version 7").await;
        refused(&place.file(), ErrorKind::Version, "knows version 1").await;
        run_sql(&place.file(), "PRAGMA user_version = 1")
            .await
            .unwrap();
        let store = storage(place.file(), SqliteOptions::default()).await?;
        assert_eq!(keys(&store).await?, ["k"]);
        store.close().await
    })
}

#[test]
fn a_file_has_one_lock_whatever_its_name() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let store = storage(place.file(), SqliteOptions::default()).await?;
        refused(&place.file(), ErrorKind::Locked, "close it there first").await;
        let detour = place
            .path("./../")
            .join(place.path("").file_name().unwrap());
        refused(&detour.join("it's a store.db"), ErrorKind::Locked, "open").await;
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(place.file(), place.path("link.db")).unwrap();
            let link = storage(place.path("link.db"), SqliteOptions::default()).await;
            assert_eq!(link.unwrap_err().kind(), ErrorKind::Locked);
        }
        let error = persistence(place.file()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        store.close().await
    })
}

#[test]
fn closing_leaves_the_file_alone_with_its_lock() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let store = storage(place.file(), SqliteOptions::default()).await?;
        store.apply(puts([("k".to_owned(), Bytes::new())])).await?;
        keys(&store).await?;
        store.close().await?;
        let mut names: Vec<String> = fs::read_dir(place.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["it's a store.db", "it's a store.db.lock"]);
        Ok(())
    })
}

#[test]
fn a_dropped_store_releases_the_file_when_its_task_ends() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let store = storage(place.file(), SqliteOptions::default()).await?;
        store.apply(puts([("k".to_owned(), Bytes::new())])).await?;
        drop(store);
        let runtime = TokioRuntime::current()?;
        loop {
            match storage(place.file(), SqliteOptions::default()).await {
                Err(error) if error.kind() == ErrorKind::Locked => {
                    runtime.sleep(std::time::Duration::from_millis(1)).await;
                }
                opened => break assert_eq!(keys(&opened?).await?, ["k"]),
            }
        }
        Ok(())
    })
}

#[test]
fn a_page_of_large_values_ends_before_its_limit() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let store = storage(place.file(), SqliteOptions::default()).await?;
        let value = Bytes::from(vec![7; 1024 * 1024]);
        for n in 0..20 {
            store
                .apply(puts([(format!("{n:02}"), value.clone())]))
                .await?;
        }
        let page = store.scan(&Table::Log, None, 20).await?;
        assert!(
            page.more && page.entries.len() < 10,
            "{} entries",
            page.entries.len()
        );
        assert_eq!(keys(&store).await?.len(), 20);
        store.close().await
    })
}

#[test]
fn a_sequence_that_sqlite_cannot_compare_is_refused() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let records = persistence(place.file()).await?;
        let state = |sequence| StateRecord {
            history: History(1),
            sequence: Sequence(sequence),
            data: Bytes::new(),
        };
        let store = |sequence| {
            let state = state(sequence);
            let records = &records;
            async move { records.store(PartitionId(0), &[], &state).await }
        };
        store(u64::MAX >> 1).await?;
        let error = store((u64::MAX >> 1) + 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(
            records.load_state(PartitionId(0)).await?,
            Some(state(u64::MAX >> 1))
        );
        records.close().await
    })
}

#[test]
fn the_driver_opens_both_kinds_by_url() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let runtime = std::sync::Arc::new(TokioRuntime::current()?);
        let registry = Registry::default();
        assert_eq!(
            registry.find(DriverKind::Storage, "sqlite")?.name,
            DRIVER.name
        );
        let url = |name: &str| format!("sqlite://{}", place.path(name).display());
        let store = registry.open_storage(&url("a.db"), runtime.clone()).await?;
        let records = registry
            .open_persistence(&url("b.db"), runtime.clone())
            .await?;
        store.apply(puts([("k".to_owned(), Bytes::new())])).await?;
        assert!(place.path("a.db").is_file() && place.path("b.db").is_file());
        store.close().await?;
        records.close().await
    })
}
