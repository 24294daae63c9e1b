//! The trait of a directory of append-only files.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::maybe_send::{MaybeSend, MaybeSync};

/// A flat directory of files that grow at the end, with durability made explicit.
///
/// File names are 1–64 characters of `a–z`, `0–9`, `.`, `-` and `_`. Nothing is durable before
/// [`Disk::sync`] of that file returned; a crash may keep any prefix of what was appended since,
/// and may damage the bytes of that unsynced part. Calls on one file are made one after the
/// other.
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
    /// After a failure the state of the unsynced part is unknown; reading it back proves nothing.
    async fn sync(&self, file: &str) -> Result<()>;

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

    /// Removes `file`; that it is absent already is no error.
    ///
    /// # Errors
    /// `Io` when the operating system refuses.
    async fn remove(&self, file: &str) -> Result<()>;
}
