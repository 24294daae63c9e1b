//! The disk that tests hold.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::traits::{AppendFailure, Disk, check_file_name};
use grid_core::{Error, ErrorKind, Result};

use super::fault::{DiskCall, Fault};
use super::state::{State, fail_unless_well};

/// A `Disk` in memory that keeps what was synced apart from what was not.
///
/// A [`crash`](ModelDisk::crash) keeps all that was synced, a random part of the rest, and may
/// damage that rest, as the trait allows. Capacity, failing calls and a power cut in the middle of
/// things can be asked for. Everything follows from the seed. Clones share one disk.
///
/// ```
/// use grid_core::traits::Disk;
/// use grid_testkit::ModelDisk;
///
/// # grid_testkit::block_on(async {
/// let disk = ModelDisk::new(42);
/// disk.append("log", "kept".into()).await?;
/// disk.sync("log").await?;
/// disk.append("log", ", at the mercy of chance".into()).await?;
/// disk.crash();
/// assert!(disk.read("log", 0, 100).await?.starts_with(b"kept"));
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct ModelDisk {
    state: Arc<Mutex<State>>,
}

impl ModelDisk {
    /// An empty disk without bounds or faults, whose chances follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.lock().random.seed(seed);
        disk
    }

    /// Cuts the power and restores it: what is left is what a real disk might have kept. Faults
    /// that wait are forgotten.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// A disk of its own that holds what this one holds now, synced or not; its chances, faults and
    /// bounds are the same.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            state: Arc::new(Mutex::new(self.lock().clone())),
        }
    }

    /// From the call after the next `calls` on, the disk answers nothing but `Io` and changes
    /// nothing, until the [`crash`](ModelDisk::crash).
    pub fn cut_power_after(&self, calls: u64) {
        self.lock().power_for = Some(calls);
    }

    /// Ends the power cut without loss, as when not the machine but a process died in it: room that
    /// was taken ahead of what was appended may show, as zeros. Faults that wait are forgotten.
    pub fn restart(&self) {
        self.lock().restart();
    }

    /// Forgets the faults that wait, and a power cut that has not come yet.
    pub fn forget_faults(&self) {
        self.lock().forget_faults();
    }

    /// Makes the `nth` next `call` (1: the very next) fail.
    pub fn fail(&self, call: DiskCall, nth: u64, fault: Fault) {
        let mut state = self.lock();
        let number = state.calls.get(&call).copied().unwrap_or_default() + nth;
        state.faults.insert((call, number), fault);
    }

    /// The bytes that all files together may hold.
    pub fn set_capacity(&self, bytes: usize) {
        self.lock().capacity = bytes;
    }

    /// Makes `sync` claim success and do nothing: with it, a test of durability has to fail.
    pub fn ignore_sync(&self, ignore: bool) {
        self.lock().ignores_sync = ignore;
    }

    /// How often `call` was made.
    #[must_use]
    pub fn calls(&self, call: DiskCall) -> u64 {
        self.lock().calls.get(&call).copied().unwrap_or_default()
    }

    /// The files and their lengths in bytes, in order of their names.
    #[must_use]
    pub fn files(&self) -> Vec<(String, usize)> {
        let state = self.lock();
        let files = state.files.iter();
        files
            .map(|(name, file)| (name.clone(), file.len()))
            .collect()
    }

    /// Inverts the byte at `offset` of `file`, as a medium that rots would.
    pub fn flip(&self, file: &str, offset: usize) {
        if let Some(file) = self.lock().files.get_mut(file) {
            file.flip(offset);
        }
    }

    /// Shortens `file` behind everybody's back.
    pub fn cut(&self, file: &str, length: usize) {
        if let Some(file) = self.lock().files.get_mut(file) {
            file.cut(length);
        }
    }

    /// Room may be taken ahead of what `file` holds: zeros may stand behind that after a crash or a
    /// restart.
    pub(crate) fn grow_ahead(&self, file: &str) {
        if let Some(file) = self.lock().files.get_mut(file) {
            file.grow_ahead();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ModelDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelDisk")
            .field("files", &self.files())
            .finish_non_exhaustive()
    }
}

/// Lets other tasks run, as they do while a device works.
async fn work() {
    let mut waited = false;
    poll_fn(|context| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Disk for ModelDisk {
    async fn append(&self, file: &str, data: Bytes) -> Result<u64> {
        check_file_name("append to file", file)?;
        work().await;
        let mut state = self.lock();
        let course = state.begin(DiskCall::Append);
        state.append(file, data, course)
    }

    async fn sync(&self, file: &str) -> Result<()> {
        check_file_name("sync file", file)?;
        work().await;
        let mut state = self.lock();
        let course = state.begin(DiskCall::Sync);
        state.sync(file, course)
    }

    async fn append_and_sync(&self, file: &str, data: Bytes) -> Result<u64, AppendFailure> {
        let appended = self.append(file, data).await;
        let length = appended.map_err(AppendFailure::NotAppended)?;
        self.grow_ahead(file);
        let synced = self.sync(file).await;
        synced.map_err(AppendFailure::NotSynced)?;
        Ok(length)
    }

    async fn read(&self, file: &str, offset: u64, length: usize) -> Result<Bytes> {
        check_file_name("read file", file)?;
        work().await;
        let mut state = self.lock();
        let course = state.begin(DiskCall::Read);
        let content = state.file("read file", file)?.current();
        fail_unless_well("read file", file, course)?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let end = start.saturating_add(length).min(content.len());
        Ok(Bytes::copy_from_slice(&content[start..end]))
    }

    async fn truncate(&self, file: &str, length: u64) -> Result<()> {
        check_file_name("truncate file", file)?;
        work().await;
        let mut state = self.lock();
        let course = state.begin(DiskCall::Truncate);
        let found = state.file("truncate file", file)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > found.len() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "truncate file",
                format!("it is shorter: {} bytes, not {length}", found.len()),
            )
            .with("file", file));
        }
        fail_unless_well("truncate file", file, course)?;
        found.truncate(length);
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_file_name("rename file", from)?;
        check_file_name("rename file", to)?;
        work().await;
        let mut state = self.lock();
        let course = state.begin(DiskCall::Rename);
        state.rename(from, to, course)
    }

    async fn remove(&self, file: &str) -> Result<()> {
        check_file_name("remove file", file)?;
        work().await;
        let mut state = self.lock();
        let course = state.begin(DiskCall::Remove);
        fail_unless_well("remove file", file, course)?;
        state.files.remove(file);
        Ok(())
    }
}
