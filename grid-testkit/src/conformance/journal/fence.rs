//! Cases about who may append.

use futures::FutureExt;
use futures::future::join_all;
use grid_core::traits::{Append, Epoch, Position};
use grid_core::{ErrorKind, PartitionId, Result};

use super::JournalFixture;
use super::batch::{all, append, assert_filled, fill, kind, named, one};

/// An append that names another tail than there is changes nothing.
pub async fn wrong_tail_is_refused<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    let early = one(&*journal, append(1, 1, "early")).await;
    assert_eq!(kind(early), Some(ErrorKind::Conflict));
    fill(&*journal, 1, 0, 3).await?;
    for tail in [0, 2, 4, u64::MAX] {
        let outcome = one(&*journal, append(1, tail, "lost")).await;
        assert_eq!(kind(outcome), Some(ErrorKind::Conflict), "tail {tail}");
    }
    assert_filled(&*journal, 1, 0, 3).await?;
    fill(&*journal, 1, 3, 1).await?;
    journal.close().await
}

fn at_epoch(epoch: u64, tail: u64) -> Append {
    Append {
        epoch: Epoch(epoch),
        ..append(1, tail, named(1, tail + 1))
    }
}

/// Once a later owner has appended, an earlier one may not, even if it knows the tail.
pub async fn older_epoch_is_refused<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    one(&*journal, at_epoch(5, 0)).await?;
    let outcome = one(&*journal, at_epoch(4, 1)).await;
    assert_eq!(kind(outcome), Some(ErrorKind::Conflict));
    one(&*journal, at_epoch(5, 1)).await?;
    assert_filled(&*journal, 1, 0, 2).await?;
    journal.close().await?;

    let journal = fixture.open().await?;
    let outcome = one(&*journal, at_epoch(4, 2)).await;
    assert_eq!(kind(outcome), Some(ErrorKind::Conflict), "after reopening");
    journal.close().await
}

/// A later epoch is let in, is told by the extent, and marks its batches.
pub async fn newer_epoch_takes_over<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    for (tail, epoch) in (0..).zip([1, 1, 7, 9]) {
        one(&*journal, at_epoch(epoch, tail)).await?;
        assert_eq!(journal.extent(PartitionId(1)).await?.epoch, Epoch(epoch));
    }
    journal.close().await?;

    let journal = fixture.open().await?;
    assert_eq!(journal.extent(PartitionId(1)).await?.epoch, Epoch(9));
    let entries = all(&*journal, 1, 0, 1000).await?;
    let epochs: Vec<u64> = entries.iter().map(|entry| entry.epoch.0).collect();
    assert_eq!(epochs, [1, 1, 7, 9]);
    journal.close().await
}

/// One refused append of a call takes no other down.
pub async fn refusals_are_each_their_own<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    let outcomes = journal
        .append(vec![
            append(1, 0, named(1, 1)),
            append(2, 8, "wrong tail"),
            append(1, 0, "the tail has moved"),
            append(1, 1, named(1, 2)),
            append(3, 0, named(3, 1)),
        ])
        .await;
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.map_err(|error| error.kind()))
        .collect();
    let refused = Err(ErrorKind::Conflict);
    let expected = [
        Ok(Position(1)),
        refused,
        refused,
        Ok(Position(2)),
        Ok(Position(1)),
    ];
    assert_eq!(outcomes, expected);
    for (partition, tail) in [(1, 2), (2, 0), (3, 1)] {
        assert_filled(&*journal, partition, 0, tail).await?;
    }
    journal.close().await
}

/// Of many that append behind the same tail at once, one succeeds.
pub async fn racing_writers_let_one_win<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    for tail in 0..10 {
        let racing = (0..20).map(|racer| {
            let batch = format!("racer {racer}");
            one(&*journal, append(1, tail, batch))
        });
        let outcomes = join_all(racing).await;
        let mut winners = Vec::new();
        for (racer, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(position) => {
                    assert_eq!(position, tail + 1);
                    winners.push(format!("racer {racer}"));
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?} all won");
        let entries = all(&*journal, 1, tail, 1000).await?;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].batch, winners[0]);
    }
    journal.close().await
}

/// An append that is given up happened as a whole or not at all, and the tail tells which.
pub async fn dropped_append_is_whole_or_absent<F: JournalFixture>(fixture: &F) -> Result<()> {
    let journal = fixture.open().await?;
    let mut batches = Vec::new();
    for round in 0..50_u32 {
        let given_up = format!("given up {round}");
        let tail = batches.len() as u64;
        let appends = vec![append(1, tail, given_up.clone())];
        let early = journal.append(appends).now_or_never();
        // What comes next in the queue is answered when the one before is decided.
        let probe = one(&*journal, append(2, u64::MAX, "probe")).await;
        assert_eq!(kind(probe), Some(ErrorKind::Conflict));
        let after = journal.extent(PartitionId(1)).await?.tail.0;
        assert!(after == tail || after == tail + 1, "{tail} became {after}");
        assert!(early.is_none() || after == tail + 1, "it was acknowledged");
        if after > tail {
            batches.push(given_up);
        }
        let next = format!("kept {round}");
        one(&*journal, append(1, after, next.clone())).await?;
        batches.push(next);
    }
    let entries = all(&*journal, 1, 0, 1000).await?;
    let got: Vec<_> = entries.into_iter().map(|entry| entry.batch).collect();
    assert_eq!(got, batches);
    journal.close().await
}
