//! Cases about positions, order and reading.

use bytes::Bytes;
use futures::future::try_join_all;
use grid_core::traits::{Epoch, JournalExtent, Position};
use grid_core::{PartitionId, Result};

use super::JournalFixture;
use super::batch::{all, append, assert_filled, fill, named, one};

/// A partition that nobody has written to is empty, and can be read.
pub async fn empty_journal_has_empty_extents<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    for partition in [0, 270, u16::MAX] {
        let extent = journal.extent(PartitionId(partition)).await?;
        assert_eq!(extent, JournalExtent::default());
        assert!(all(&*journal, partition, 0, 1000).await?.is_empty());
    }
    journal.close().await
}

/// The first batch stands at 1, and each next one behind it; the extent follows.
pub async fn positions_count_from_one<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    for tail in 0..5 {
        assert_eq!(one(&*journal, append(9, tail, "x")).await?, tail + 1);
        let expected = JournalExtent {
            truncated: Position(0),
            tail: Position(tail + 1),
            epoch: Epoch(1),
        };
        assert_eq!(journal.extent(PartitionId(9)).await?, expected);
    }
    journal.close().await
}

/// One partition's appends move no other.
pub async fn partitions_count_on_their_own<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    for round in 0..4 {
        for partition in [0, 1, 7, u16::MAX] {
            fill(&*journal, partition, round, 1).await?;
        }
    }
    for partition in [0, 1, 7, u16::MAX] {
        assert_filled(&*journal, partition, 0, 4).await?;
    }
    assert!(all(&*journal, 2, 0, 1000).await?.is_empty());
    journal.close().await
}

/// Any bytes, and none, come back as they were, with the epoch of their writer.
pub async fn batches_come_back_whole_and_in_order<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    let batches: Vec<Bytes> = vec![
        Bytes::new(),
        (0..=255).collect(),
        vec![0; 5000].into(),
        "é😀\0".into(),
    ];
    for (tail, batch) in (0..).zip(&batches) {
        one(&*journal, append(3, tail, batch.clone())).await?;
    }
    let entries = all(&*journal, 3, 0, usize::MAX).await?;
    assert!(entries.iter().all(|entry| entry.epoch == Epoch(1)));
    let got: Vec<Bytes> = entries.into_iter().map(|entry| entry.batch).collect();
    assert_eq!(got, batches);
    journal.close().await
}

/// Batches of some hundred kilobytes, several in one call.
pub async fn large_batches_come_back_whole<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    let large = |byte: u8| Bytes::from(vec![byte; 400_000]);
    let appends = (0..8).map(|n| append(5, u64::from(n), large(n))).collect();
    for outcome in journal.append(appends).await {
        outcome?;
    }
    let entries = all(&*journal, 5, 0, 1000).await?;
    assert_eq!(entries.len(), 8);
    for (byte, entry) in (0..).zip(entries) {
        assert!(entry.batch == large(byte), "batch {byte}");
    }
    journal.close().await
}

/// Reads of any size, one after the other, are the log; each gives at least one batch.
pub async fn reading_in_parts_joins_up<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    fill(&*journal, 4, 0, 30).await?;
    fill(&*journal, 6, 0, 3).await?;
    for max_bytes in [0, 1, 100, 100_000] {
        for after in [0, 1, 29, 30] {
            let entries = all(&*journal, 4, after, max_bytes).await?;
            let got: Vec<Bytes> = entries.into_iter().map(|entry| entry.batch).collect();
            let expected: Vec<Bytes> = (after + 1..=30).map(|n| named(4, n)).collect();
            assert_eq!(got, expected, "after {after}, {max_bytes} bytes at a time");
        }
    }
    let part = journal.read(PartitionId(4), Position(0), 100).await?;
    assert!((1..30).contains(&part.len()), "{} batches", part.len());
    let beyond = journal.read(PartitionId(4), Position(99), 100).await?;
    assert!(beyond.is_empty());
    journal.close().await
}

/// A call has one outcome for each of its appends, in their order.
pub async fn one_call_appends_to_many_partitions<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    fill(&*journal, 2, 0, 5).await?;
    let appends = vec![
        append(1, 0, named(1, 1)),
        append(2, 5, named(2, 6)),
        append(3, 0, named(3, 1)),
    ];
    let outcomes = journal.append(appends).await;
    let positions = outcomes.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(positions, [Position(1), Position(6), Position(1)]);
    for (partition, tail) in [(1, 1), (2, 6), (3, 1)] {
        assert_filled(&*journal, partition, 0, tail).await?;
    }
    journal.close().await
}

/// Within a call, an append sees those before it.
pub async fn one_call_may_append_to_a_partition_twice<F: JournalFixture>(
    fixture: &F,
) -> Result<()> {
    let journal = fixture.open().await?;
    let appends = (0..3).map(|tail| append(1, tail, named(1, tail + 1)));
    let outcomes = journal.append(appends.collect()).await;
    let positions = outcomes.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(positions, [Position(1), Position(2), Position(3)]);
    assert_filled(&*journal, 1, 0, 3).await?;
    journal.close().await
}

/// An empty call has no outcome.
pub async fn appending_nothing_answers_nothing<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    assert!(journal.append(Vec::new()).await.is_empty());
    journal.close().await
}

/// Many writers at once, each on a partition of its own.
pub async fn concurrent_appends_all_land<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    try_join_all((0..64).map(|partition| fill(&*journal, partition, 0, 10))).await?;
    for partition in 0..64 {
        assert_filled(&*journal, partition, 0, 10).await?;
    }
    journal.close().await
}
