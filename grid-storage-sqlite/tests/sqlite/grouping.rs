//! How many commits it takes: counted in the write-ahead log itself.

use std::fs;
use std::io::ErrorKind;

use bytes::Bytes;
use futures::future::join_all;
use grid_core::traits::{Persistence, StateRecord, Storage};
use grid_core::{History, PartitionId, Result, Sequence};
use grid_storage_sqlite::SqliteOptions;

use crate::place::{Place, persistence, puts, storage};

/// The commits in the write-ahead log: frames that say how large the database is after them.
/// <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>
fn commits(place: &Place) -> usize {
    const HEADER: usize = 32;
    const FRAME: usize = 24 + 4096;
    let log = match fs::read(place.path("it's a store.db-wal")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return 0,
        log => log.unwrap(),
    };
    let frames = log[HEADER..].chunks_exact(FRAME);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[test]
fn batches_that_wait_together_share_a_commit() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let store = storage(place.file(), SqliteOptions::default()).await?;
        let before = commits(&place);
        let apply = |n: usize| store.apply(puts([(format!("{n}"), Bytes::new())]));
        for result in join_all((0..200).map(apply)).await {
            result?;
        }
        let shared = commits(&place) - before;
        assert!(
            (1..=2).contains(&shared),
            "{shared} commits for 200 batches at once"
        );
        for n in 0..10 {
            apply(1_000 + n).await?;
        }
        let alone = commits(&place) - before - shared;
        assert_eq!(
            alone, 10,
            "a batch that returned has its own commit on the disk"
        );
        store.close().await
    })
}

#[test]
fn partitions_that_flush_together_share_a_commit() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let records = persistence(place.file()).await?;
        let before = commits(&place);
        let state = StateRecord {
            history: History(1),
            sequence: Sequence(1),
            data: Bytes::from_static(b"state"),
        };
        let store = |partition| records.store(PartitionId(partition), &[], &state);
        for result in join_all((0..250).map(store)).await {
            result?;
        }
        let shared = commits(&place) - before;
        assert!(
            (1..=2).contains(&shared),
            "{shared} commits for 250 partitions at once"
        );
        records.close().await
    })
}
