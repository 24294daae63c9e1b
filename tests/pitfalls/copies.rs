//! Copies of a device's database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use grid_testkit::proxy::LinkState;
use hybrid_grid::Grid;

use crate::world::{Site, agree, flushed, soon, through};

const MAP: &str = "notes";
/// Written before the copy is made, and pending then.
const PENDING: u32 = 40;
/// Written by each of the two afterwards.
const AFTERWARDS: u32 = 30;

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// Copies a database as a backup program does: the file, and its write-ahead log if there is one.
fn copy(from: &Path, to: &Path) -> usize {
    let log = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    std::fs::copy(from, to).unwrap();
    if !log(from).exists() {
        return 1;
    }
    std::fs::copy(log(from), log(to)).unwrap();
    2
}

async fn put(grid: &Grid, key: String, value: &str) {
    let map = grid.map::<String>(MAP).unwrap();
    drop(map.put(&key, &value.to_owned()).await.unwrap());
}

/// How often any entry changed on the server, as somebody sees it who has just come.
async fn changes(site: &Site) -> u64 {
    let stranger = site.device().open().await.unwrap();
    drop(stranger.map::<String>(MAP).unwrap());
    flushed(&stranger).await;
    let status = stranger.status();
    status.maps[0].cursor.iter().map(|(_, at)| at.0).sum()
}

/// Two devices that began as one, each with the same pending writes, write on.
async fn two_devices(site: &Site, original: &Grid, copied: &Path) {
    let copy = site.device().storage(url(copied)).open().await.unwrap();
    let mut expected = BTreeMap::new();
    for number in 0..PENDING {
        expected.insert(format!("before {number}"), "pending".to_owned());
    }
    for number in 0..AFTERWARDS {
        for (grid, who) in [(original, "original"), (&copy, "copy")] {
            let key = format!("{who} {number}");
            put(grid, key.clone(), who).await;
            expected.insert(key, who.to_owned());
        }
    }
    flushed(&copy).await;
    flushed(original).await;
    let level = agree::<String>(&[original, &copy], MAP).await;
    assert_eq!(level, expected);
    // Every pending write took effect once, though both devices brought it.
    let once = u64::from(PENDING + 2 * AFTERWARDS);
    assert_eq!(changes(site).await, once);
    copy.close().await.unwrap();
}

/// A device's database that was copied while it was closed: what both write afterwards arrives,
/// and what was pending at that time takes effect once.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_12_a_copy_of_a_closed_database_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (original, copied) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let site = Site::new().await;
    let _server = site.start().await;
    let grid = Grid::builder()
        .storage(url(&original))
        .open()
        .await
        .unwrap();
    for number in 0..PENDING {
        put(&grid, format!("before {number}"), "pending").await;
    }
    grid.close().await.unwrap();
    copy(&original, &copied);
    let grid = site.device().storage(url(&original)).open().await.unwrap();
    two_devices(&site, &grid, &copied).await;
}

/// The same while it is open: the copy has its write-ahead log beside it.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_12_a_copy_of_an_open_database_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (original, copied) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let site = Site::new().await;
    let server = site.start().await;
    let line = Site::line(&server).await;
    line.set(LinkState::Cut);
    let grid = through(&line).storage(url(&original)).open().await.unwrap();
    for number in 0..PENDING {
        put(&grid, format!("before {number}"), "pending").await;
    }
    assert_eq!(copy(&original, &copied), 2, "there is a write-ahead log");
    line.set(LinkState::Up);
    grid.connect_now();
    two_devices(&site, &grid, &copied).await;
}

/// A copy that comes back long after the original has pushed everything and forgotten it: its
/// pending writes are known to the server, and what it writes next arrives.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_12_a_restored_backup_brings_its_new_writes_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (original, copied) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let site = Site::new().await;
    let _server = site.start().await;
    let grid = Grid::builder()
        .storage(url(&original))
        .open()
        .await
        .unwrap();
    for number in 0..PENDING {
        put(&grid, format!("before {number}"), "pending").await;
    }
    grid.close().await.unwrap();
    copy(&original, &copied);
    let grid = site.device().storage(url(&original)).open().await.unwrap();
    flushed(&grid).await;
    // These are newer than what the backup has pending on the same keys.
    for number in 0..PENDING {
        put(&grid, format!("before {number}"), "edited").await;
    }
    flushed(&grid).await;
    grid.close().await.unwrap();

    let backup = site.device().storage(url(&copied)).open().await.unwrap();
    put(&backup, "after".to_owned(), "backup").await;
    soon("flush", backup.flushed()).await.unwrap();
    let again = site.device().storage(url(&original)).open().await.unwrap();
    let level = agree::<String>(&[&again, &backup], MAP).await;
    assert_eq!(level.len(), PENDING as usize + 1);
    assert_eq!(level["after"], "backup");
    for number in 0..PENDING {
        assert_eq!(level[&format!("before {number}")], "edited");
    }
    assert_eq!(changes(&site).await, u64::from(2 * PENDING + 1));
}
