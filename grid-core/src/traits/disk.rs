//! The trait of a directory of append-only files.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::maybe_send::{MaybeSend, MaybeSync};

/// Longest name of a file on a [`Disk`], in bytes.
const MAX_FILE_NAME_BYTES: usize = 64;

/// Checks the name of a file: 1–64 characters of `a–z`, `0–9`, `.`, `-` and `_`, the first of
/// which is no dot, so that no name leads out of the directory.
///
/// ```
/// use grid_core::traits::check_file_name;
///
/// assert!(check_file_name("append", "00000001.journal").is_ok());
/// assert!(check_file_name("append", "../passwords").is_err());
/// ```
///
/// # Errors
/// `Invalid`, naming the file.
pub fn check_file_name(operation: &'static str, file: &str) -> Result<()> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let sound = (1..=MAX_FILE_NAME_BYTES).contains(&file.len())
        && !file.starts_with('.')
        && file.bytes().all(allowed);
    if sound {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        operation,
        "a file name is 1 to 64 of a-z, 0-9, dot, hyphen and underscore, and starts with no dot",
    )
    .with("file", file.escape_debug()))
}

/// Why [`Disk::append_and_sync`] failed.
#[derive(Debug)]
pub enum AppendFailure {
    /// As [`Disk::append`] fails.
    NotAppended(Error),
    /// As [`Disk::sync`] fails; what was appended may be durable, in part or as a whole.
    NotSynced(Error),
}

impl AppendFailure {
    /// The error, whichever of the two it was.
    #[must_use]
    pub fn into_error(self) -> Error {
        match self {
            Self::NotAppended(error) | Self::NotSynced(error) => error,
        }
    }
}

/// A flat directory of files that grow at the end, with durability made explicit.
///
/// File names are what [`check_file_name`] accepts; every call fails with `Invalid` on others.
/// Nothing is durable before [`Disk::sync`] of that file returned; a crash may keep any prefix of
/// what was appended since, and may damage the bytes of that unsynced part. Calls on one file are
/// made one after the other.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Disk: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// Adds `data` at the end of `file`, creating it if absent; returns the new length in bytes.
    ///
    /// # Errors
    /// `Full` when there is no room: then nothing or a part was appended, and the caller
    /// truncates back to the length it knows.
    async fn append(&self, file: &str, data: Bytes) -> Result<u64>;

    /// Makes the content, the length and the name of `file` durable.
    ///
    /// # Errors
    /// After a failure the state of the unsynced part is unknown, and neither reading it back nor
    /// another sync proves anything: systems take pages for written that they failed to write.
    async fn sync(&self, file: &str) -> Result<()>;

    /// [`Disk::append`], then [`Disk::sync`], as one call, for a file that grows by many small
    /// parts of which each is waited for.
    ///
    /// The disk may take room for such a file ahead of what is appended, for a sync that does not
    /// have to note a new length takes less. It shows in no answer of this disk. But if the program
    /// is killed, or the machine crashes, whoever opens the disk next may find zeros behind what
    /// was appended, and they count: in the length, for a read, and for an append, which goes
    /// behind them.
    ///
    /// # Errors
    /// Says which of the two failed, for what may be done about it differs.
    async fn append_and_sync(&self, file: &str, data: Bytes) -> Result<u64, AppendFailure> {
        let appended = self.append(file, data).await;
        let length = appended.map_err(AppendFailure::NotAppended)?;
        let synced = self.sync(file).await;
        synced.map_err(AppendFailure::NotSynced)?;
        Ok(length)
    }

    /// Up to `length` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    async fn read(&self, file: &str, offset: u64, length: usize) -> Result<Bytes>;

    /// Cuts `file` to `length` bytes. Durable after the next [`Disk::sync`].
    ///
    /// # Errors
    /// `NotFound` when there is no such file, `Invalid` when it is shorter.
    async fn truncate(&self, file: &str, length: u64) -> Result<()>;

    /// Gives `from` the name `to`, replacing what had it, at once and durably; the content of
    /// `from` is as durable as its last [`Disk::sync`] made it.
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    async fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes `file` durably; that it is absent already is no error.
    ///
    /// # Errors
    /// `Io` when the operating system refuses.
    async fn remove(&self, file: &str) -> Result<()>;
}
