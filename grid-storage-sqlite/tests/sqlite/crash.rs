//! A process that is killed: its lock goes with it, and every batch that returned is there.

use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use grid_core::traits::Storage;
use grid_core::{ErrorKind, Result};
use grid_storage_sqlite::SqliteOptions;

use crate::place::{Place, keys, puts, storage};

/// The file that the child writes to.
const FILE: &str = "GRID_TEST_CRASH_FILE";
/// Entries in each batch of the child.
const ENTRIES: usize = 20;

fn name(batch: usize, entry: usize) -> String {
    format!("{batch:06}-{entry:02}")
}

/// Writes batches for ever, and prints the number of each that returned.
#[test]
#[ignore = "the child process of the test below"]
fn child() -> Result<()> {
    let Some(path) = std::env::var_os(FILE) else {
        panic!("{FILE} names the file to write to");
    };
    let place = Place::new(0);
    place.block_on(async {
        let store = storage(PathBuf::from(path), SqliteOptions::default()).await?;
        let first = keys(&store).await?.len().div_ceil(ENTRIES);
        for batch in first.. {
            let entry = |entry| (name(batch, entry), Bytes::from(vec![7; 500]));
            store.apply(puts((0..ENTRIES).map(entry))).await?;
            println!("\nreturned {batch}");
            std::io::stdout().flush().unwrap();
        }
        Ok(())
    })
}

fn spawn(place: &Place) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--ignored", "--nocapture"])
        .env(FILE, place.file())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn kill_releases_the_lock_and_loses_no_batch_that_returned() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        for round in 1..=4 {
            let mut child = spawn(&place);
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut returned = || {
                let numbers = lines.by_ref().map_while(|line| line.ok());
                let mut numbers = numbers.filter_map(|line| {
                    Some(line.strip_prefix("returned ")?.parse::<usize>().unwrap())
                });
                numbers.next()
            };
            for _ in 0..round * 10 {
                returned().expect("the child writes on");
            }
            let locked = storage(place.file(), SqliteOptions::default()).await;
            assert_eq!(
                locked.err().map(|error| error.kind()),
                Some(ErrorKind::Locked)
            );
            child.kill().unwrap();
            child.wait().unwrap();
            let mut last = 0;
            while let Some(batch) = returned() {
                last = batch;
            }

            let store = storage(place.file(), SqliteOptions::default()).await?;
            let keys = keys(&store).await?;
            store.close().await?;
            let batches = keys.len() / ENTRIES;
            let expected = (0..batches).flat_map(|batch| (0..ENTRIES).map(move |n| name(batch, n)));
            assert!(
                keys.iter().cloned().eq(expected),
                "whole batches, one after the other"
            );
            assert!(batches > last, "batch {last} returned, {batches} are there");
        }
        Ok(())
    })
}

#[test]
fn a_runtime_that_ends_in_the_middle_loses_no_batch_that_returned() -> Result<()> {
    let place = Place::new(0);
    let mut returned = 0;
    for round in 0..10 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = storage(place.file(), SqliteOptions::default()).await?;
            let keys = keys(&store).await?;
            let whole =
                (0..keys.len() / ENTRIES).flat_map(|n| (0..ENTRIES).map(move |e| name(n, e)));
            assert!(
                keys.iter().cloned().eq(whole),
                "round {round}: a part of a batch"
            );
            assert!(
                keys.len() >= returned * ENTRIES,
                "round {round}: batches are lost"
            );
            returned = keys.len() / ENTRIES;
            let batch =
                |n| puts((0..ENTRIES).map(move |e| (name(n, e), Bytes::from(vec![7; 500]))));
            store.apply(batch(returned)).await?;
            returned += 1;
            // The next one is on its way when everything ends.
            let mut apply = Box::pin(store.apply(batch(returned)));
            let _pending = futures::poll!(&mut apply);
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            Result::Ok(())
        })?;
        drop(runtime);
    }
    Ok(())
}
