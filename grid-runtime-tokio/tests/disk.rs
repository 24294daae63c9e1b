//! The disk of a real directory passes the suite, and says what is wrong with a directory.

#![cfg(unix)]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::os::unix::fs::symlink;
use std::sync::Arc;

use grid_core::traits::Disk;
use grid_core::{ErrorKind, Result};
use grid_runtime_tokio::{FileDisk, TokioRuntime};
use grid_testkit::block_on;
use grid_testkit::conformance::disk::DiskFixture;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

struct Directory(TempDir);

impl Default for Directory {
    fn default() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }
}

impl DiskFixture for Directory {
    async fn open(&self) -> Result<Arc<dyn Disk>> {
        Ok(Arc::new(FileDisk::open(self.0.path())?))
    }
}

grid_testkit::disk_conformance!(conformance, Directory);

/// A directory whose disk wakes the tasks of a runtime.
struct OnRuntime {
    directory: Directory,
    runtime: Runtime,
}

impl Default for OnRuntime {
    fn default() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        Self {
            directory: Directory::default(),
            runtime: runtime.expect("a runtime"),
        }
    }
}

impl OnRuntime {
    fn open_disk(&self) -> Result<FileDisk> {
        let tokio = TokioRuntime::new(self.runtime.handle().clone());
        FileDisk::open_on(self.directory.0.path(), &tokio)
    }
}

impl DiskFixture for OnRuntime {
    async fn open(&self) -> Result<Arc<dyn Disk>> {
        Ok(Arc::new(self.open_disk()?))
    }
}

grid_testkit::disk_conformance!(conformance_on_a_runtime, OnRuntime);

#[test]
fn every_caller_on_the_runtime_gets_its_own_answer() {
    let place = OnRuntime::default();
    let disk = place.open_disk().expect("a directory");
    let callers: Vec<_> = (0..64_u64)
        .map(|caller| {
            let disk = disk.clone();
            place.runtime.spawn(async move {
                let file = caller.to_string();
                for number in 1..=50 {
                    let end = disk.append(&file, "8 bytes.".into()).await;
                    assert_eq!(end.expect("there is room"), 8 * number);
                }
            })
        })
        .collect();
    for caller in callers {
        place.runtime.block_on(caller).expect("its own answers");
    }
}

#[test]
fn calls_are_answered_while_the_runtime_ends_and_after() {
    let callers = OnRuntime::default().runtime;
    for round in 0..20 {
        let place = OnRuntime::default();
        let disk = place.open_disk().expect("a directory");
        let calls = callers.spawn(async move {
            for number in 1..=200 {
                let end = disk.append("log", "1".into()).await;
                assert_eq!(end.expect("there is room"), number);
            }
        });
        let OnRuntime { directory, runtime } = place;
        if round % 2 == 0 {
            runtime.block_on(tokio::task::yield_now());
        }
        drop(runtime);
        callers.block_on(calls).expect("every call is answered");
        drop(directory);
    }
}

#[test]
fn the_task_ends_with_the_last_clone() {
    let place = OnRuntime::default();
    let disk = place.open_disk().expect("a directory");
    let tasks = || place.runtime.metrics().num_alive_tasks();
    assert_eq!(tasks(), 1);
    drop(disk);
    while tasks() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn missing_directories_are_made() {
    let place = Directory::default();
    let deep = place.0.path().join("a/b/c");
    let disk = FileDisk::open(&deep).expect("it makes what is missing");
    block_on(disk.append("log", "1".into())).expect("it works there");
    assert_eq!(std::fs::read(deep.join("log")).expect("a file"), b"1");
}

#[test]
fn a_file_in_the_way_is_an_error_that_names_it() {
    let place = Directory::default();
    let path = place.0.path().join("data");
    std::fs::write(&path, "not a directory").expect("a file");
    for path in [path.clone(), path.join("journal")] {
        let error = FileDisk::open(&path).expect_err("a file is in the way");
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("data"), "{error}");
    }
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_can_be_retried() {
    let place = Directory::default();
    symlink("/dev/full", place.0.path().join("log")).expect("a link");
    let disk = FileDisk::open(place.0.path()).expect("a directory");
    let error = block_on(disk.append("log", "1".into())).expect_err("it is full");
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.is_retryable());
    let path = place.0.path().join("log");
    assert!(
        error.to_string().contains(&*path.to_string_lossy()),
        "{error}"
    );
}

#[test]
fn the_thread_ends_with_the_last_clone() {
    let place = Directory::default();
    let disk = FileDisk::open(place.0.path()).expect("a directory");
    let clone = disk.clone();
    drop(disk);
    block_on(clone.append("log", "1".into())).expect("a clone keeps it alive");
    drop(clone);
    // The thread held the directory open; wait until that descriptor is gone.
    let held = || {
        std::fs::read_dir("/proc/self/fd")
            .expect("Linux lists descriptors")
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .any(|target| target == place.0.path())
    };
    while held() {
        std::thread::yield_now();
    }
}

#[test]
fn a_sync_that_the_system_refuses_is_an_error() {
    let place = Directory::default();
    // A device that takes every byte, and has nothing to sync.
    symlink("/dev/null", place.0.path().join("log")).expect("a link");
    let disk = FileDisk::open(place.0.path()).expect("a directory");
    block_on(disk.append("log", "1".into())).expect("it takes everything");
    let error = block_on(disk.sync("log")).expect_err("there is nothing to sync");
    assert_eq!(error.kind(), ErrorKind::Io);
}
