//! Cases about the content of files: growing, reading, cutting.

use bytes::Bytes;
use grid_core::traits::AppendFailure;
use grid_core::{ErrorKind, Result};

use super::DiskFixture;
use crate::conformance::refused::assert_refused;

/// What was appended is there, in order, for any place and length that is asked for.
pub async fn appended_bytes_come_back_in_order<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    for chunk in bytes.chunks(37) {
        disk.append("log", Bytes::copy_from_slice(chunk)).await?;
    }
    for (offset, length) in [(0_u16, 1000), (0, 1), (999, 1), (36, 2), (500, 300)] {
        let place = usize::from(offset);
        assert_eq!(
            disk.read("log", u64::from(offset), length).await?,
            bytes[place..place + length],
            "{length} bytes from {offset}"
        );
    }
    Ok(())
}

/// The answer to an append is the length of the file after it.
pub async fn append_answers_the_new_length<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    assert_eq!(disk.append("log", "12345".into()).await?, 5);
    assert_eq!(disk.append("log", "678".into()).await?, 8);
    disk.sync("log").await?;
    assert_eq!(disk.append("log", "9".into()).await?, 9);
    Ok(())
}

/// Appends that are synced in the same call are appends like others, whatever room is taken ahead.
pub async fn append_and_sync_appends<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    for (data, length) in [("12", 2), ("", 2), ("345", 5)] {
        let appended = disk.append_and_sync("log", data.into()).await;
        assert_eq!(appended.map_err(AppendFailure::into_error)?, length);
        let content = disk.read("log", 0, 100).await?;
        assert_eq!(content.len() as u64, length);
    }
    assert_eq!(disk.append("log", "6".into()).await?, 6);
    assert_eq!(disk.read("log", 1, 100).await?, "23456");
    disk.truncate("log", 1).await?;
    let appended = disk.append_and_sync("log", "7".into()).await;
    assert_eq!(appended.map_err(AppendFailure::into_error)?, 2);
    assert_eq!(disk.read("log", 0, 100).await?, "17");
    let refused = disk.append_and_sync("..", "1".into()).await;
    assert!(matches!(refused, Err(AppendFailure::NotAppended(_))));
    Ok(())
}

/// A read beyond the end gives what there is, down to nothing.
pub async fn reads_stop_at_the_end<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("log", "12345".into()).await?;
    assert_eq!(disk.read("log", 3, 100).await?, "45");
    assert_eq!(disk.read("log", 5, 100).await?, "");
    assert_eq!(disk.read("log", 1 << 40, 100).await?, "");
    assert_eq!(disk.read("log", 2, 0).await?, "");
    Ok(())
}

/// Some megabytes in one call.
pub async fn large_appends_come_back_whole<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    let large: Bytes = (0..=250).cycle().take(8 * 1024 * 1024 + 1).collect();
    disk.append("log", large.clone()).await?;
    disk.sync("log").await?;
    assert!(disk.read("log", 0, usize::MAX).await? == large);
    Ok(())
}

/// A file may be empty.
pub async fn empty_append_makes_a_file<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    assert_eq!(disk.append("empty", Bytes::new()).await?, 0);
    disk.sync("empty").await?;
    assert_eq!(disk.read("empty", 0, 10).await?, "");
    Ok(())
}

/// Files with similar names do not mix.
pub async fn files_stay_apart<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    let names = ["a", "a.b", "a-b", "a_b", "b", "0"];
    for round in 0..3 {
        for name in names {
            disk.append(name, format!("{name}{round} ").into()).await?;
        }
    }
    for name in names {
        let expected = format!("{name}0 {name}1 {name}2 ");
        assert_eq!(disk.read(name, 0, 100).await?, expected);
    }
    Ok(())
}

/// After a cut, the file ends there and grows from there.
pub async fn truncate_cuts_and_growth_goes_on_there<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("log", "123456789".into()).await?;
    disk.sync("log").await?;
    disk.truncate("log", 4).await?;
    assert_eq!(disk.read("log", 0, 100).await?, "1234");
    assert_eq!(disk.append("log", "abc".into()).await?, 7);
    assert_eq!(disk.read("log", 2, 100).await?, "34abc");
    disk.truncate("log", 7).await?;
    disk.truncate("log", 0).await?;
    assert_eq!(disk.read("log", 0, 100).await?, "");
    Ok(())
}

/// A cut never makes a file longer.
pub async fn truncate_beyond_the_end_is_invalid<F: DiskFixture>(fixture: &F) -> Result<()> {
    let disk = fixture.open().await?;
    disk.append("log", "123".into()).await?;
    let cut = disk.truncate("log", 4).await;
    assert_refused(cut, ErrorKind::Invalid, "the file is shorter");
    assert_eq!(disk.read("log", 0, 100).await?, "123");
    Ok(())
}
