//! A full disk: an error that a retry can get over, nothing lost, and work goes on.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use futures::future::join_all;
use grid_core::traits::{Batch, Storage, Table, Write};
use grid_core::{Error, ErrorKind, Result};
use grid_storage_sqlite::{SqliteOptions, SqliteStorage};

use crate::place::{Place, keys, puts, storage};

fn entry(name: &str, bytes: usize) -> (String, Bytes) {
    (name.to_owned(), Bytes::from(vec![7; bytes]))
}

/// Puts entries until there is no more room; returns the names that were stored.
async fn fill(store: &SqliteStorage, bytes: usize) -> Result<Vec<String>> {
    let mut stored = Vec::new();
    loop {
        let name = format!("fill {:04}", stored.len());
        match store.apply(puts([entry(&name, bytes)])).await {
            Ok(()) => stored.push(name),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert!(error.is_retryable(), "a retry helps once there is room");
                return Ok(stored);
            }
        }
        assert!(stored.len() < 10_000, "the place never fills");
    }
}

#[test]
fn a_bounded_file_gives_full_and_goes_on_when_room_was_made() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let options = SqliteOptions::default().max_file_bytes(256 * 1024);
        let store = storage(place.file(), options).await?;
        let stored = fill(&store, 10_000).await?;
        assert!(stored.len() > 10, "{} entries", stored.len());
        assert_eq!(
            keys(&store).await?,
            stored,
            "what returned is there, and no more"
        );

        let delete = Write::Delete {
            table: Table::Log,
            key: Bytes::from(stored[0].clone()),
        };
        let batch = Batch {
            precondition: None,
            writes: vec![delete],
        };
        store.apply(batch).await?;
        store.apply(puts([entry("after", 9_000)])).await?;
        assert!(keys(&store).await?.contains(&"after".to_owned()));
        store.close().await
    })
}

#[test]
fn a_batch_that_finds_no_room_takes_no_other_down() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let options = SqliteOptions::default().max_file_bytes(512 * 1024);
        let store = storage(place.file(), options).await?;
        // On one thread all of these wait before the writer runs, so they share a group.
        let sizes = (0..20).map(|n| if n % 5 == 2 { 1024 * 1024 } else { 100 });
        let names: Vec<(String, usize)> = sizes
            .map(|bytes| (format!("{bytes:07}"), bytes))
            .enumerate()
            .map(|(n, (size, bytes))| (format!("{n:02} {size}"), bytes))
            .collect();
        let apply = |(name, bytes): &(String, usize)| store.apply(puts([entry(name, *bytes)]));
        let results = join_all(names.iter().map(apply)).await;
        for ((name, bytes), result) in names.iter().zip(&results) {
            let expected = (*bytes > 1_000).then_some(ErrorKind::Full);
            assert_eq!(result.as_ref().err().map(Error::kind), expected, "{name}");
        }
        let small = names.iter().filter(|(_, bytes)| *bytes < 1_000);
        let small: Vec<String> = small.map(|(name, _)| name.clone()).collect();
        assert_eq!(keys(&store).await?, small);
        store.close().await
    })
}

/// A small file system in memory, unmounted when dropped; needs root.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(&path)
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(path)),
            _ => None,
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "umount {:?}",
            self.0
        );
    }
}

#[test]
fn a_full_disk_gives_full_and_goes_on_when_space_returns() -> Result<()> {
    let place = Place::new(0);
    let Some(disk) = SmallDisk::mount(place.path("disk")) else {
        eprintln!("skipped: a small file system cannot be mounted here (it needs root)");
        return Ok(());
    };
    place.block_on(async {
        let filler = disk.0.join("filler");
        fs::write(&filler, vec![0; 1024 * 1024]).unwrap();
        let path = disk.0.join("store.db");
        let store = storage(path.clone(), SqliteOptions::default()).await?;
        let mut stored = fill(&store, 20_000).await?;
        assert!(stored.len() > 10, "{} entries", stored.len());
        assert_eq!(
            keys(&store).await?,
            stored,
            "reading goes on, nothing is lost"
        );
        let again = store.apply(puts([entry("again", 20_000)])).await;
        assert_eq!(again.err().map(|error| error.kind()), Some(ErrorKind::Full));

        fs::remove_file(&filler).unwrap();
        store.apply(puts([entry("again", 20_000)])).await?;
        stored.insert(0, "again".to_owned());
        assert_eq!(keys(&store).await?, stored);

        // A process that ends on a full disk finds everything when it starts again.
        fill(&store, 20_000).await?;
        let before = keys(&store).await?;
        if let Err(error) = store.close().await {
            assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        }
        let store = storage(path, SqliteOptions::default()).await?;
        assert_eq!(keys(&store).await?, before);
        drop(store);
        Ok(())
    })
}
