//! The model disk passes the suite of disks, and loses just what it may lose.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use grid_core::traits::Disk;
use grid_core::{ErrorKind, Result};
use grid_testkit::conformance::disk::DiskFixture;
use grid_testkit::model_disk::{DiskCall, Fault};
use grid_testkit::{ModelDisk, block_on};

#[derive(Default)]
struct Fixture(ModelDisk);

impl DiskFixture for Fixture {
    async fn open(&self) -> Result<Arc<dyn Disk>> {
        Ok(Arc::new(self.0.clone()))
    }
}

grid_testkit::disk_conformance!(conformance, Fixture);

/// What a crash left of a file with ten synced and ten unsynced bytes, for many seeds.
async fn leftovers(prepare: impl Fn(&ModelDisk)) -> Result<BTreeSet<Vec<u8>>> {
    let mut left = BTreeSet::new();
    for seed in 0..500 {
        let disk = ModelDisk::new(seed);
        prepare(&disk);
        disk.append("log", "synced....".into()).await?;
        disk.sync("log").await?;
        disk.append("log", "unsy".into()).await?;
        disk.append("log", "nced..".into()).await?;
        disk.crash();
        left.insert(disk.read("log", 0, 100).await.unwrap_or_default().to_vec());
    }
    Ok(left)
}

#[test]
fn a_crash_keeps_what_was_synced_and_any_prefix_of_the_rest() -> Result<()> {
    block_on(async {
        let left = leftovers(|_| {}).await?;
        assert!(
            left.iter()
                .all(|content| content.starts_with(b"synced...."))
        );
        for length in 10..=20 {
            let whole = &b"synced....unsynced.."[..length];
            assert!(left.contains(whole), "no run kept {length} bytes");
        }
        let torn = |content: &Vec<u8>| !b"synced....unsynced..".starts_with(content);
        assert!(left.iter().any(torn), "no run damaged anything");
        Ok(())
    })
}

#[test]
fn with_sync_ignored_a_crash_takes_what_was_synced() -> Result<()> {
    block_on(async {
        let left = leftovers(|disk| disk.ignore_sync(true)).await?;
        assert!(
            left.iter()
                .any(|content| !content.starts_with(b"synced...."))
        );
        Ok(())
    })
}

#[test]
fn a_truncation_is_durable_only_after_a_sync() -> Result<()> {
    block_on(async {
        let mut lengths = BTreeSet::new();
        for seed in 0..100 {
            let disk = ModelDisk::new(seed);
            disk.append("log", "123456".into()).await?;
            disk.sync("log").await?;
            disk.truncate("log", 2).await?;
            disk.clone().crash();
            lengths.insert(disk.read("log", 0, 100).await?.len());
            disk.truncate("log", 1).await?;
            disk.sync("log").await?;
            disk.crash();
            assert_eq!(disk.read("log", 0, 100).await?, "1");
        }
        assert_eq!(lengths, BTreeSet::from([2, 6]));
        Ok(())
    })
}

#[test]
fn what_a_failed_sync_left_behind_never_becomes_durable() -> Result<()> {
    block_on(async {
        let mut spoiled = 0;
        for seed in 0..100 {
            let disk = ModelDisk::new(seed);
            disk.append("log", Bytes::from(vec![1; 4096])).await?;
            disk.append("log", Bytes::from(vec![2; 10])).await?;
            disk.sync("log").await?;
            disk.append("log", Bytes::from(vec![3; 10])).await?;
            disk.fail(DiskCall::Sync, 1, Fault::Spoil);
            assert_eq!(
                disk.sync("log").await.err().map(|e| e.kind()),
                Some(ErrorKind::Io)
            );
            let seen = disk.read("log", 4096 + 10, 10).await?;
            assert_eq!(seen, vec![3; 10], "a reader is told a lie");
            disk.sync("log").await?;
            disk.crash();
            let left = disk.read("log", 0, 10_000).await?;
            assert_eq!(left[..4096], [1; 4096], "other blocks are untouched");
            assert_ne!(left[4096 + 10..], [3; 10]);
            spoiled += usize::from(left[4096..4096 + 10] != [2; 10]);
        }
        assert!(spoiled > 0, "no run spoiled what shared the block");
        Ok(())
    })
}

#[test]
fn a_full_disk_takes_a_part_and_works_again_with_more_room() -> Result<()> {
    block_on(async {
        let disk = ModelDisk::new(7);
        disk.set_capacity(10);
        assert_eq!(disk.append("log", "12345".into()).await?, 5);
        let refused = disk.append("log", "1234567890".into()).await;
        assert_eq!(refused.err().map(|e| e.kind()), Some(ErrorKind::Full));
        disk.truncate("log", 5).await?;
        disk.set_capacity(20);
        assert_eq!(disk.append("log", "1234567890".into()).await?, 15);
        Ok(())
    })
}

#[test]
fn a_power_cut_stops_everything_until_the_crash() -> Result<()> {
    block_on(async {
        let disk = ModelDisk::new(7);
        disk.cut_power_after(2);
        disk.append("log", "1".into()).await?;
        disk.sync("log").await?;
        for _ in 0..3 {
            assert!(disk.append("log", "2".into()).await.is_err());
            assert!(disk.sync("log").await.is_err());
            assert!(disk.rename("log", "other").await.is_err());
        }
        disk.crash();
        assert_eq!(disk.append("log", "2".into()).await?, 2);
        Ok(())
    })
}

#[test]
fn an_unsynced_name_may_be_lost_and_a_renamed_one_may_not() -> Result<()> {
    block_on(async {
        let mut kept = 0;
        for seed in 0..100 {
            let disk = ModelDisk::new(seed);
            disk.append("new", "1".into()).await?;
            disk.append("head.new", "1".into()).await?;
            disk.sync("head.new").await?;
            disk.rename("head.new", "head").await?;
            disk.crash();
            kept += usize::from(disk.read("new", 0, 1).await.is_ok());
            assert_eq!(disk.read("head", 0, 1).await?, "1");
        }
        assert!((1..100).contains(&kept), "{kept} of 100");
        Ok(())
    })
}
