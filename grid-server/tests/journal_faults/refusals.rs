//! What the disk refuses, and how space comes back.

use super::support::*;
use bytes::Bytes;
use futures::future::join_all;
use grid_core::traits::{Journal, Position};
use grid_core::{ErrorKind, PartitionId, Result};
use grid_server::journal::JournalOptions;
use grid_testkit::ModelDisk;
use grid_testkit::model_disk::{DiskCall, Fault};

#[tokio::test]
async fn a_full_disk_refuses_and_works_again_when_there_is_room() -> Result<()> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 3, 1000).await?;
    let used: usize = disk.files().iter().map(|(_, length)| length).sum();
    disk.set_capacity(used + 500);
    for _ in 0..5 {
        let error = one(&journal, 3, 1000).await.expect_err("it is full");
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.is_retryable());
    }
    assert_eq!(tail(&journal).await?, 3);
    // A smaller one still fits: nothing of the others was left behind.
    one(&journal, 3, 400).await?;
    disk.set_capacity(used + 5000);
    one(&journal, 4, 1000).await?;
    drop(journal);
    disk.set_capacity(used + 20_000);
    disk.crash();
    let journal = open(&disk, SMALL).await?;
    assert_eq!(positions(&journal).await?, [1, 2, 3, 4, 5]);
    Ok(())
}

#[tokio::test]
async fn what_a_full_disk_refused_does_not_come_back_after_a_crash() -> Result<()> {
    for seed in 0..200 {
        let disk = ModelDisk::new(seed);
        let journal = open(&disk, SMALL).await?;
        fill(&journal, 0, 2, 10).await?;
        // Several batches, so that the part that was written holds whole ones.
        let appends = (2..12).map(|tail| append(1, tail, Bytes::from_static(b"refused")));
        disk.fail(DiskCall::Append, 1, Fault::Full);
        for outcome in journal.append(appends.collect()).await {
            assert_eq!(outcome.expect_err("it is full").kind(), ErrorKind::Full);
        }
        drop(journal);
        disk.crash();
        assert_eq!(tail(&open(&disk, SMALL).await?).await?, 2, "seed {seed}");
    }
    Ok(())
}

#[tokio::test]
async fn a_journal_that_filled_its_disk_can_still_let_go() -> Result<()> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    disk.set_capacity(200_000);
    let mut end = 0;
    while one(&journal, end, 1500).await.is_ok() {
        end += 1;
    }
    // Fill up what is left, to the last byte.
    while one(&journal, end, 0).await.is_ok() {
        end += 1;
    }
    let used: usize = disk.files().iter().map(|(_, length)| length).sum();
    disk.set_capacity(used);
    journal.truncate(PartitionId(1), Position(end)).await?;
    assert_eq!(segments(&disk).len(), 1);
    fill(&journal, end, 20, 1500).await?;
    assert_eq!(tail(&journal).await?, end + 20);
    Ok(())
}

#[tokio::test]
async fn a_failed_sync_fails_its_commit_and_nothing_else() -> Result<()> {
    for fault in [Fault::Io, Fault::Spoil, Fault::Full] {
        for seed in 0..50 {
            let disk = ModelDisk::new(seed);
            let journal = open(&disk, SMALL).await?;
            fill(&journal, 0, 5, 300).await?;
            disk.fail(DiskCall::Sync, 1, fault);
            let error = one(&journal, 5, 300).await.expect_err("the sync failed");
            assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Full));
            assert!(error.is_retryable());
            assert_eq!(positions(&journal).await?, [1, 2, 3, 4, 5]);
            fill(&journal, 5, 2, 20).await?;
            drop(journal);
            disk.crash();
            let journal = open(&disk, SMALL).await?;
            assert_eq!(positions(&journal).await?, [1, 2, 3, 4, 5, 6, 7]);
            let last = journal.read(PartitionId(1), Position(5), 1).await?;
            assert_eq!(last[0].batch.len(), 20, "what failed is not there");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_copied_is_read_from_its_copy() -> Result<()> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 5, 300).await?;
    disk.fail(DiskCall::Sync, 1, Fault::Io);
    one(&journal, 5, 300).await.expect_err("the sync failed");
    let (file, length) = segments(&disk)[0].clone();
    for offset in 4096..length {
        disk.flip(&file, offset);
    }
    assert_eq!(positions(&journal).await?, [1, 2, 3, 4, 5]);
    Ok(())
}

#[tokio::test]
async fn a_read_that_a_truncation_overtakes_says_so() -> Result<()> {
    let disk = three_segments().await?;
    let journal = open(&disk, SMALL).await?;
    let mut read = journal.read(PartitionId(1), Position(0), 1);
    assert!(
        futures::poll!(read.as_mut()).is_pending(),
        "it waits for the disk"
    );
    journal.truncate(PartitionId(1), Position(20)).await?;
    let error = read.await.expect_err("the segment is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    Ok(())
}

#[tokio::test]
async fn a_read_follows_a_batch_that_is_copied_meanwhile() -> Result<()> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 5, 300).await?;
    let (old, _) = segments(&disk)[0].clone();
    let mut read = journal.read(PartitionId(1), Position(4), 1);
    assert!(
        futures::poll!(read.as_mut()).is_pending(),
        "it waits for the disk"
    );
    disk.fail(DiskCall::Sync, 1, Fault::Io);
    one(&journal, 5, 300).await.expect_err("the sync failed");
    journal.truncate(PartitionId(1), Position(4)).await?;
    assert_ne!(segments(&disk)[0].0, old, "where it stood is gone");
    assert_eq!(read.await?[0].position, Position(5));
    Ok(())
}

#[tokio::test]
async fn a_process_that_dies_of_a_failed_sync_leaves_nothing_that_is_built_on() -> Result<()> {
    // The sync fails and so does everything after it; the process ends, the machine goes on and
    // shows pages that will never be written. What the next process makes of them must be
    // durable, or gone.
    for seed in 0..100 {
        let disk = ModelDisk::new(seed);
        let journal = open(&disk, SMALL).await?;
        fill(&journal, 0, 5, 300).await?;
        disk.fail(DiskCall::Sync, 1, Fault::Spoil);
        disk.fail(DiskCall::Append, 2, Fault::Io);
        let error = one(&journal, 5, 300).await.expect_err("the sync failed");
        assert_eq!(error.kind(), ErrorKind::Timeout, "nobody can know");
        drop(journal);
        disk.restart();
        let journal = open(&disk, SMALL).await?;
        let end = tail(&journal).await?;
        assert!((5..=6).contains(&end));
        fill(&journal, end, 3, 20).await?;
        drop(journal);
        disk.crash();
        let journal = open(&disk, SMALL).await?;
        let expected: Vec<u64> = (1..=end + 3).collect();
        assert_eq!(positions(&journal).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn appends_that_wait_together_share_one_sync() -> Result<()> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, JournalOptions::default()).await?;
    let before = disk.calls(DiskCall::Sync);
    let waiting = (0..64).map(|partition| {
        let batch = Bytes::from(vec![7; 200]);
        journal.append(vec![append(partition, 0, batch)])
    });
    for outcomes in join_all(waiting).await {
        assert!(outcomes.iter().all(Result::is_ok));
    }
    let syncs = disk.calls(DiskCall::Sync) - before;
    assert!(syncs <= 2, "{syncs} syncs");
    let appended = disk.calls(DiskCall::Append);
    one(&journal, 1, 10).await?;
    assert_eq!(disk.calls(DiskCall::Append), appended + 1);
    Ok(())
}

#[tokio::test]
async fn space_comes_back_when_all_partitions_let_go() -> Result<()> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    journal
        .append(vec![append(2, 0, "keeps the first".into())])
        .await
        .remove(0)?;
    fill(&journal, 0, 50, 2000).await?;
    let many = segments(&disk).len();
    assert!(many > 6, "{many} segments");
    journal.truncate(PartitionId(1), Position(50)).await?;
    assert_eq!(
        segments(&disk).len(),
        many,
        "partition 2 still needs the first"
    );
    journal.truncate(PartitionId(2), Position(1)).await?;
    assert_eq!(segments(&disk).len(), 1);
    drop(journal);
    let journal = open(&disk, SMALL).await?;
    assert_eq!(tail(&journal).await?, 50);
    Ok(())
}

#[tokio::test]
async fn segments_that_a_crash_left_behind_are_removed_at_the_next_opening() -> Result<()> {
    for failing in 1..=3 {
        let disk = three_segments().await?;
        let journal = open(&disk, SMALL).await?;
        let before = segments(&disk).len();
        disk.fail(DiskCall::Remove, failing, Fault::Io);
        disk.fail(DiskCall::Remove, failing + 1, Fault::Io);
        let truncated = journal.truncate(PartitionId(1), Position(20)).await;
        assert!(truncated.is_err());
        drop(journal);
        disk.restart();
        let journal = open(&disk, SMALL).await?;
        journal.truncate(PartitionId(1), Position(20)).await?;
        assert_eq!(
            segments(&disk).len(),
            1,
            "of {before}, removal {failing} failed"
        );
    }
    Ok(())
}

#[tokio::test]
async fn openings_that_write_nothing_leave_no_trail() -> Result<()> {
    let disk = three_segments().await?;
    drop(open(&disk, SMALL).await?);
    let after_one = disk.files();
    for _ in 0..5 {
        drop(open(&disk, SMALL).await?);
    }
    assert_eq!(disk.files(), after_one);
    Ok(())
}

#[tokio::test]
async fn options_out_of_bounds_are_refused() -> Result<()> {
    for (segment_bytes, group_bytes) in [(1, 1 << 20), (u64::MAX, 1 << 20), (1 << 26, 0)] {
        let options = JournalOptions {
            segment_bytes,
            group_bytes,
        };
        let error = open(&ModelDisk::new(1), options)
            .await
            .expect_err("out of bounds");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    Ok(())
}

#[tokio::test]
async fn an_oversize_batch_is_refused_alone() -> Result<()> {
    let journal = open(&ModelDisk::new(1), JournalOptions::default()).await?;
    let oversize = Bytes::from(vec![0; 16 * 1024 * 1024 + 1]);
    let outcomes = journal
        .append(vec![append(1, 0, oversize), append(2, 0, "fits".into())])
        .await;
    let kinds: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.map_err(|error| error.kind()))
        .collect();
    assert_eq!(kinds, [Err(ErrorKind::TooLarge), Ok(Position(1))]);
    Ok(())
}
