//! The local journal on disks that rot, fill up and refuse: what it says, and how it goes on.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use grid_core::traits::{Append, Disk, Epoch, Journal, Position};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use grid_runtime_tokio::TokioRuntime;
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_testkit::ModelDisk;
use grid_testkit::model_disk::{DiskCall, Fault};

const SMALL: JournalOptions = JournalOptions {
    segment_bytes: 16 * 1024,
    group_bytes: 4 * 1024,
};

async fn open(disk: &ModelDisk, options: JournalOptions) -> Result<LocalJournal> {
    let runtime = Arc::new(TokioRuntime::current()?);
    LocalJournal::open(Arc::new(disk.clone()), runtime, options).await
}

fn append(partition: u16, tail: u64, batch: Bytes) -> Append {
    Append {
        partition: PartitionId(partition),
        epoch: Epoch(1),
        tail: Position(tail),
        batch,
    }
}

async fn one(journal: &LocalJournal, tail: u64, bytes: usize) -> Result<Position> {
    let batch = vec![tail.to_le_bytes()[0]; bytes].into();
    let mut outcomes = journal.append(vec![append(1, tail, batch)]).await;
    outcomes.remove(0)
}

/// Appends batches of `bytes` behind `tail`, each with a commit of its own.
async fn fill(journal: &LocalJournal, tail: u64, count: u64, bytes: usize) -> Result<()> {
    for tail in tail..tail + count {
        one(journal, tail, bytes).await?;
    }
    Ok(())
}

async fn tail(journal: &LocalJournal) -> Result<u64> {
    Ok(journal.extent(PartitionId(1)).await?.tail.0)
}

/// The positions that can be read.
async fn positions(journal: &LocalJournal) -> Result<Vec<u64>> {
    let extent = journal.extent(PartitionId(1)).await?;
    let entries = journal
        .read(PartitionId(1), extent.truncated, usize::MAX)
        .await?;
    Ok(entries.iter().map(|entry| entry.position.0).collect())
}

fn segments(disk: &ModelDisk) -> Vec<(String, usize)> {
    let mut files = disk.files();
    files.retain(|(name, _)| name.ends_with(".journal"));
    files
}

/// What opening says about a damaged disk.
async fn refusal(disk: &ModelDisk) -> Error {
    open(disk, SMALL)
        .await
        .expect_err("the disk is damaged where it was synced")
}

/// A disk with three segments, of which the first two are closed.
async fn three_segments() -> Result<ModelDisk> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 20, 2000).await?;
    journal.close().await?;
    assert_eq!(segments(&disk).len(), 3);
    Ok(disk)
}

#[tokio::test]
async fn a_damaged_byte_in_a_closed_segment_is_named() -> Result<()> {
    let disk = three_segments().await?;
    let (file, length) = segments(&disk)[0].clone();
    // The first block holds the header and padding, which means nothing.
    let header = 0..52;
    let body = 4096..length;
    for offset in header.step_by(3).chain(body.step_by(97)) {
        disk.flip(&file, offset);
        let error = refusal(&disk).await;
        // The version stands outside of the checksum, so that any program can read it.
        if (8..12).contains(&offset) {
            assert_eq!(error.kind(), ErrorKind::Version, "byte {offset}");
        } else {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {offset}");
        }
        let text = error.to_string();
        assert!(text.contains(&file) && text.contains("restore") | text.contains("use the one"));
        disk.flip(&file, offset);
    }
    assert_eq!(tail(&open(&disk, SMALL).await?).await?, 20);
    Ok(())
}

#[tokio::test]
async fn the_place_of_the_damage_is_named() -> Result<()> {
    let disk = three_segments().await?;
    let (file, _) = segments(&disk)[1].clone();
    // Records of 2036 bytes follow the header's block.
    disk.flip(&file, 4096 + 2036 * 2 + 1000);
    let error = refusal(&disk).await.to_string();
    assert!(error.contains(&file), "{error}");
    assert!(
        error.contains(&format!("offset: {}", 4096 + 2036 * 2)),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn damage_in_the_last_segment_is_refused_when_a_later_commit_stands_behind_it() -> Result<()>
{
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 4, 500).await?;
    journal.close().await?;
    let (file, length) = segments(&disk)[0].clone();
    assert_eq!(length, 4096 + 4 * 536);
    for commit in 0..3 {
        for offset in [0, 4, 8, 12, 16, 18, 20, 28, 36, 535] {
            let place = 4096 + commit * 536 + offset;
            disk.flip(&file, place);
            let error = refusal(&disk).await;
            assert_eq!(
                error.kind(),
                ErrorKind::Corrupt,
                "byte {offset} of {commit}"
            );
            disk.flip(&file, place);
        }
    }
    // Nothing stands behind the last commit: it looks like one that a crash tore.
    disk.flip(&file, 4096 + 3 * 536 + 100);
    assert_eq!(tail(&open(&disk, SMALL).await?).await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_torn_end_is_cut_wherever_it_is_torn() -> Result<()> {
    for left in 0..536 {
        let disk = ModelDisk::new(1);
        let journal = open(&disk, SMALL).await?;
        fill(&journal, 0, 3, 500).await?;
        journal.close().await?;
        let (file, length) = segments(&disk)[0].clone();
        disk.cut(&file, length - 536 + left);
        let journal = open(&disk, SMALL).await?;
        assert_eq!(positions(&journal).await?, [1, 2], "{left} bytes left");
        fill(&journal, 2, 2, 10).await?;
        drop(journal);
        assert_eq!(positions(&open(&disk, SMALL).await?).await?, [1, 2, 3, 4]);
    }
    Ok(())
}

#[tokio::test]
async fn bytes_that_a_client_chose_do_not_pass_for_a_later_commit() -> Result<()> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 2, 10).await?;
    journal.close().await?;
    // A whole segment as a value: its records have the marker of another segment.
    let (file, length) = segments(&disk)[0].clone();
    let forged = disk.read(&file, 4096, length).await?;
    let journal = open(&disk, SMALL).await?;
    journal.append(vec![append(2, 0, forged)]).await.remove(0)?;
    journal.close().await?;
    let (file, length) = segments(&disk).pop().expect("a segment");
    disk.flip(&file, length - 100);
    let journal = open(&disk, SMALL).await?;
    assert_eq!(journal.extent(PartitionId(2)).await?.tail, Position(0));
    Ok(())
}

#[tokio::test]
async fn missing_files_are_noticed() -> Result<()> {
    for missing in 0..3 {
        let disk = three_segments().await?;
        let (file, _) = segments(&disk)[missing].clone();
        disk.remove(&file).await?;
        let error = refusal(&disk).await;
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(&file), "{error}");
    }
    let disk = three_segments().await?;
    disk.remove("journal.head").await?;
    let error = refusal(&disk).await;
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("journal.head"), "{error}");

    for offset in 0..32 {
        let disk = three_segments().await?;
        disk.flip("journal.head", offset);
        let kind = refusal(&disk).await.kind();
        assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Version));
    }
    Ok(())
}

#[tokio::test]
async fn a_cut_closed_segment_is_noticed() -> Result<()> {
    for cut in [0, 51, 52, 4095, 4096, 5000, 4096 + 2036] {
        let disk = three_segments().await?;
        let (file, _) = segments(&disk)[0].clone();
        disk.cut(&file, cut);
        assert_eq!(
            refusal(&disk).await.kind(),
            ErrorKind::Corrupt,
            "{cut} bytes left"
        );
    }
    Ok(())
}

#[tokio::test]
async fn damage_that_is_met_while_reading_is_named() -> Result<()> {
    let disk = three_segments().await?;
    let journal = open(&disk, SMALL).await?;
    let (file, _) = segments(&disk)[0].clone();
    disk.flip(&file, 4096 + 36);
    let read = journal.read(PartitionId(1), Position(0), 1).await;
    assert_eq!(read.expect_err("it is damaged").kind(), ErrorKind::Corrupt);
    let read = journal.read(PartitionId(1), Position(1), 1).await?;
    assert_eq!(read[0].position, Position(2));
    Ok(())
}

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
