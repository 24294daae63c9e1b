//! Cases about names, about several calls at once, and about opening again.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::try_join_all;
use grid_core::{ErrorKind, Result};

use super::DiskFixture;
use crate::conformance::refused::{assert_refused, error_of};

/// What needs a file says `NotFound` without one, names the file, and makes none.
pub async fn absent_files_are_not_found<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    for _ in 0..2 {
        let why = "there is no such file";
        let error = error_of(disk.read("absent.log", 0, 1).await, why);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("absent.log"), "{error}");
        assert_refused(disk.sync("absent.log").await, ErrorKind::NotFound, why);
        assert_refused(
            disk.truncate("absent.log", 0).await,
            ErrorKind::NotFound,
            why,
        );
        assert_refused(
            disk.rename("absent.log", "other").await,
            ErrorKind::NotFound,
            why,
        );
    }
    Ok(())
}

/// A file that had the new name is gone; the old name is free.
pub async fn rename_replaces<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("head", "old and longer".into()).await?;
    disk.sync("head").await?;
    disk.append("head.new", "new".into()).await?;
    disk.sync("head.new").await?;
    disk.rename("head.new", "head").await?;
    assert_eq!(disk.read("head", 0, 100).await?, "new");
    let old = disk.read("head.new", 0, 1).await;
    assert_refused(old, ErrorKind::NotFound, "the file has another name now");
    assert_eq!(disk.append("head.new", "fresh".into()).await?, 5);
    assert_eq!(disk.read("head", 0, 100).await?, "new");
    Ok(())
}

/// Appends go to the file, wherever its name went.
pub async fn renamed_file_grows_on<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("a", "1".into()).await?;
    disk.rename("a", "b").await?;
    assert_eq!(disk.append("b", "2".into()).await?, 2);
    disk.sync("b").await?;
    assert_eq!(disk.read("b", 0, 100).await?, "12");
    Ok(())
}

/// Nothing of a removed file shows in one that takes its name.
pub async fn removed_file_begins_anew<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("log", "old".into()).await?;
    disk.sync("log").await?;
    disk.remove("log").await?;
    let read = disk.read("log", 0, 1).await;
    assert_refused(read, ErrorKind::NotFound, "the file was removed");
    assert_eq!(disk.append("log", "n".into()).await?, 1);
    assert_eq!(disk.read("log", 0, 100).await?, "n");
    Ok(())
}

/// Removing what is not there does nothing.
pub async fn removing_nothing_is_no_error<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.remove("absent").await?;
    disk.append("log", "1".into()).await?;
    disk.remove("log").await?;
    disk.remove("log").await
}

/// Names that lead out of the directory, or that some system could not hold, are refused by every
/// call.
pub async fn bad_names_are_invalid<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("good", "1".into()).await?;
    let long = "a".repeat(65);
    for name in [
        "", ".", "..", ".hidden", "a/b", "../a", "/etc/a", "a b", "A", "ä", "a\0", "a\\b", &long,
    ] {
        let why = format!("{name:?} is no file name");
        let invalid = ErrorKind::Invalid;
        assert_refused(disk.append(name, "1".into()).await, invalid, &why);
        assert_refused(disk.sync(name).await, invalid, &why);
        assert_refused(disk.read(name, 0, 1).await, invalid, &why);
        assert_refused(disk.truncate(name, 0).await, invalid, &why);
        assert_refused(disk.rename(name, "good").await, invalid, &why);
        assert_refused(disk.rename("good", name).await, invalid, &why);
        assert_refused(disk.remove(name).await, invalid, &why);
    }
    assert_eq!(disk.read("good", 0, 10).await?, "1");
    Ok(())
}

/// A name of 64 characters is not cut short.
pub async fn longest_name_works<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    let (one, other) = ("a".repeat(63) + "1", "a".repeat(63) + "2");
    disk.append(&one, "1".into()).await?;
    disk.append(&other, "2".into()).await?;
    assert_eq!(disk.read(&one, 0, 9).await?, "1");
    assert_eq!(disk.read(&other, 0, 9).await?, "2");
    Ok(())
}

/// More files in turn than a process may hold open handles.
pub async fn many_files_are_open_at_once<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    for round in 0..2 {
        for number in 0..300 {
            let file = format!("{number}.log");
            disk.append(&file, format!("{round} of {number}, ").into())
                .await?;
            if number % 50 == 0 {
                disk.sync(&file).await?;
            }
        }
    }
    for number in 0..300 {
        let expected = format!("0 of {number}, 1 of {number}, ");
        assert_eq!(disk.read(&format!("{number}.log"), 0, 100).await?, expected);
    }
    Ok(())
}

/// Calls on different files may overlap.
pub async fn calls_on_several_files_at_once<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    try_join_all((0..100).map(|number| {
        let disk = &disk;
        async move {
            let file = format!("{number}.log");
            for round in 1..=5 {
                assert_eq!(disk.append(&file, "x".into()).await?, round);
            }
            disk.sync(&file).await
        }
    }))
    .await?;
    Ok(())
}

/// A call that is given up has happened or not when the next one on the file runs; it never
/// strikes later.
pub async fn dropped_calls_are_over_before_the_next<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("log", Bytes::new()).await?;
    let mut known = 0;
    for round in 0..200_u32 {
        let given_up = Bytes::from(vec![b'g'; 100]);
        let _ = disk.append("log", given_up).now_or_never();
        let length = disk.append("log", "!".into()).await?;
        assert!(
            length == known + 1 || length == known + 101,
            "round {round}: {known} bytes became {length}"
        );
        known = length;
    }
    let content = disk.read("log", 0, usize::MAX).await?;
    assert_eq!(content.iter().filter(|byte| **byte == b'!').count(), 200);
    Ok(())
}

/// A synced file is there for whoever opens the place next.
pub async fn what_was_synced_is_there_after_reopening<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("log", "123".into()).await?;
    disk.sync("log").await?;
    disk.append("head.new", "7".into()).await?;
    disk.sync("head.new").await?;
    disk.rename("head.new", "head").await?;
    drop(disk);
    let disk = fixture.open().await?;
    assert_eq!(disk.read("log", 0, 100).await?, "123");
    assert_eq!(disk.read("head", 0, 100).await?, "7");
    assert_eq!(disk.append("log", "4".into()).await?, 4);
    Ok(())
}

/// A synced cut, and a removal, are there for whoever opens the place next.
pub async fn truncation_is_there_after_reopening<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("log", "123456".into()).await?;
    disk.append("gone", "1".into()).await?;
    disk.sync("log").await?;
    disk.sync("gone").await?;
    disk.truncate("log", 2).await?;
    disk.sync("log").await?;
    disk.remove("gone").await?;
    drop(disk);
    let disk = fixture.open().await?;
    assert_eq!(disk.read("log", 0, 100).await?, "12");
    let gone = disk.read("gone", 0, 1).await;
    assert_refused(gone, ErrorKind::NotFound, "the file was removed");
    Ok(())
}
