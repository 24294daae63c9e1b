//! Cases about what is kept: over openings, truncation and closing.

use bytes::Bytes;
use futures::future::try_join_all;
use grid_core::traits::{Append, Epoch, JournalExtent, Position};
use grid_core::{ErrorKind, PartitionId, Result};

use super::JournalFixture;
use super::batch::{append, assert_filled, fill, kind, one};

/// What was appended is there after closing and opening, again and again.
pub async fn reopening_keeps_everything<F: JournalFixture>(fixture: &F) -> Result<()> {
    // The last two openings change nothing.
    for (tail, count) in [(0, 3), (3, 3), (6, 1), (7, 30), (37, 0), (37, 0)] {
        let journal = fixture.open().await?;
        for partition in [0, 1, 300] {
            assert_filled(&*journal, partition, 0, tail).await?;
            let extent = journal.extent(PartitionId(partition)).await?;
            assert_eq!(extent.tail, Position(tail));
            fill(&*journal, partition, tail, count).await?;
        }
        journal.close().await?;
    }
    Ok(())
}

/// Batches above a truncation stay, here and after reopening; those below may not be asked for
/// any more, or are still right.
pub async fn truncation_keeps_what_lies_above<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    fill(&*journal, 1, 0, 20).await?;
    fill(&*journal, 2, 0, 20).await?;
    journal.truncate(PartitionId(1), Position(12)).await?;
    journal.truncate(PartitionId(1), Position(5)).await?;
    for opening in 0..2 {
        let journal = match opening {
            0 => std::sync::Arc::clone(&journal),
            _ => fixture.open().await?,
        };
        let extent = journal.extent(PartitionId(1)).await?;
        assert!(extent.truncated <= Position(12), "{extent:?}");
        assert_eq!(extent.tail, Position(20));
        assert_filled(&*journal, 1, 12, 20).await?;
        assert_filled(&*journal, 1, extent.truncated.0, 20).await?;
        if let Some(below) = extent.truncated.0.checked_sub(1) {
            let read = journal.read(PartitionId(1), Position(below), 1000).await;
            assert_eq!(kind(read), Some(ErrorKind::NotFound));
        }
        assert_filled(&*journal, 2, 0, 20).await?;
        journal.close().await?;
    }
    Ok(())
}

/// A journal whose batches were all truncated still knows its tail and its epoch.
pub async fn truncating_all_keeps_the_tail<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    let large = Bytes::from(vec![7; 100_000]);
    for tail in 0..10 {
        let append = Append {
            epoch: Epoch(6),
            ..append(1, tail, large.clone())
        };
        one(&*journal, append).await?;
    }
    journal.truncate(PartitionId(1), Position(10)).await?;
    // Time passes, much is written and truncated elsewhere, so that old space is used again.
    for tail in 0..10 {
        one(&*journal, append(2, tail, large.clone())).await?;
        journal.truncate(PartitionId(2), Position(tail + 1)).await?;
    }
    for opening in 0..4 {
        let journal = match opening {
            0 => std::sync::Arc::clone(&journal),
            _ => fixture.open().await?,
        };
        let extent = journal.extent(PartitionId(1)).await?;
        assert_eq!((extent.tail, extent.epoch), (Position(10), Epoch(6)));
        let stale = one(&*journal, append(1, 10, "of an older epoch")).await;
        assert_eq!(kind(stale), Some(ErrorKind::Conflict));
        assert_eq!(
            journal.extent(PartitionId(2)).await?.tail,
            Position(10 + opening)
        );
        one(&*journal, append(2, 10 + opening, "next")).await?;
        journal.close().await?;
    }
    Ok(())
}

/// Nothing that is not there yet can be truncated.
pub async fn truncating_beyond_the_tail_stops_there<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    journal.truncate(PartitionId(1), Position(99)).await?;
    assert_eq!(
        journal.extent(PartitionId(1)).await?,
        JournalExtent::default()
    );
    fill(&*journal, 1, 0, 3).await?;
    journal.truncate(PartitionId(1), Position(u64::MAX)).await?;
    assert_eq!(journal.extent(PartitionId(1)).await?.tail, Position(3));
    fill(&*journal, 1, 3, 2).await?;
    assert_filled(&*journal, 1, 3, 5).await?;
    journal.close().await
}

/// Partitions that append, read and truncate all the time do not disturb each other.
pub async fn much_truncation_while_appending<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    try_join_all((0..8).map(|partition| {
        let journal = &*journal;
        async move {
            for round in 0..20 {
                fill(journal, partition, round * 5, 5).await?;
                assert_filled(journal, partition, round * 5, round * 5 + 5).await?;
                let through = Position(round * 5 + u64::from(partition) % 5);
                journal.truncate(PartitionId(partition), through).await?;
            }
            Ok(())
        }
    }))
    .await?;
    journal.close().await?;
    let journal = fixture.open().await?;
    for partition in 0..8 {
        let kept = 95 + u64::from(partition) % 5;
        assert_filled(&*journal, partition, kept, 100).await?;
    }
    journal.close().await
}

/// After a close everything fails with `Closed`, and a second close does nothing.
pub async fn closed_journal_says_so<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    fill(&*journal, 1, 0, 1).await?;
    journal.close().await?;
    let closed = Some(ErrorKind::Closed);
    let outcome = one(&*journal, append(1, 1, "late")).await;
    assert_eq!(kind(outcome), closed);
    let read = journal.read(PartitionId(1), Position(0), 1).await;
    assert_eq!(kind(read), closed);
    assert_eq!(kind(journal.extent(PartitionId(1)).await), closed);
    let truncated = journal.truncate(PartitionId(1), Position(1)).await;
    assert_eq!(kind(truncated), closed);
    journal.close().await
}
