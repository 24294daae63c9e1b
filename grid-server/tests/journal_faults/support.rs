//! Journals and their files, as the tests need them.

use std::sync::Arc;

use bytes::Bytes;
use grid_core::traits::{Append, Epoch, Journal, Position};
use grid_core::{Error, PartitionId, Result};
use grid_runtime_tokio::TokioRuntime;
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_testkit::ModelDisk;

pub(super) const SMALL: JournalOptions = JournalOptions {
    segment_bytes: 16 * 1024,
    group_bytes: 4 * 1024,
};

pub(super) async fn open(disk: &ModelDisk, options: JournalOptions) -> Result<LocalJournal> {
    let runtime = Arc::new(TokioRuntime::current()?);
    LocalJournal::open(Arc::new(disk.clone()), runtime, options).await
}

pub(super) fn append(partition: u16, tail: u64, batch: Bytes) -> Append {
    Append {
        partition: PartitionId(partition),
        epoch: Epoch(1),
        tail: Position(tail),
        batch,
    }
}

pub(super) async fn one(journal: &LocalJournal, tail: u64, bytes: usize) -> Result<Position> {
    let batch = vec![tail.to_le_bytes()[0]; bytes].into();
    let mut outcomes = journal.append(vec![append(1, tail, batch)]).await;
    outcomes.remove(0)
}

/// Appends batches of `bytes` behind `tail`, each with a commit of its own.
pub(super) async fn fill(
    journal: &LocalJournal,
    tail: u64,
    count: u64,
    bytes: usize,
) -> Result<()> {
    for tail in tail..tail + count {
        one(journal, tail, bytes).await?;
    }
    Ok(())
}

pub(super) async fn tail(journal: &LocalJournal) -> Result<u64> {
    Ok(journal.extent(PartitionId(1)).await?.tail.0)
}

/// The positions that can be read.
pub(super) async fn positions(journal: &LocalJournal) -> Result<Vec<u64>> {
    let extent = journal.extent(PartitionId(1)).await?;
    let entries = journal
        .read(PartitionId(1), extent.truncated, usize::MAX)
        .await?;
    Ok(entries.iter().map(|entry| entry.position.0).collect())
}

pub(super) fn segments(disk: &ModelDisk) -> Vec<(String, usize)> {
    let mut files = disk.files();
    files.retain(|(name, _)| name.ends_with(".journal"));
    files
}

/// What opening says about a damaged disk.
pub(super) async fn refusal(disk: &ModelDisk) -> Error {
    open(disk, SMALL)
        .await
        .expect_err("the disk is damaged where it was synced")
}

/// A disk with three segments, of which the first two are closed.
pub(super) async fn three_segments() -> Result<ModelDisk> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 20, 2000).await?;
    journal.close().await?;
    assert_eq!(segments(&disk).len(), 3);
    Ok(disk)
}
