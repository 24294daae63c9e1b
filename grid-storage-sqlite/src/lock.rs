//! The lock that keeps a file to one opening, and ends with its process.

use std::fs::{OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use grid_core::{Error, ErrorKind, Result};

use crate::error;

#[expect(
    clippy::disallowed_types,
    reason = "a lock of the operating system needs a real file"
)]
type File = std::fs::File;

/// The longest number of a process that is read, in bytes.
const MAX_PID_BYTES: u64 = 20;

/// A lock on `FILE.lock`, held until dropped. The file stays: removing it would let two in. It
/// holds the number of the process that has, or had, the lock.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing would not do: a child of this process that is just being made holds a copy of
        // the descriptor, and with it the lock, until it runs its program. Should this fail, the
        // lock ends with that copy all the same.
        let _unlocked = self.file.unlock();
    }
}

impl FileLock {
    /// Locks the database at `path`.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let lock_path = lock_path(path);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| error::from_io("lock sqlite", &lock_path, error))?;
        match file.try_lock() {
            Ok(()) => {
                // It only helps people to find the process: a full disk is no reason to fail.
                let _told = file
                    .set_len(0)
                    .and_then(|()| write!(file, "{}", std::process::id()));
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => Err(locked(path, &mut file)),
            Err(TryLockError::Error(error)) => {
                Err(error::from_io("lock sqlite", &lock_path, error))
            }
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn locked(path: &Path, file: &mut File) -> Error {
    let error = Error::new(
        ErrorKind::Locked,
        "open sqlite",
        "another process, or another part of this one, has the file open; close it there first",
    )
    .with("path", path.display());
    let mut holder = String::new();
    // Not everywhere can a locked file be read.
    match file.take(MAX_PID_BYTES).read_to_string(&mut holder) {
        Ok(_) if !holder.is_empty() => error.with("process", holder),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_given_up_is_free_though_a_child_inherited_its_descriptor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let lock = FileLock::take(&path).unwrap();
        // As between the fork and the exec of a child.
        let inherited = lock.file.try_clone().unwrap();
        assert_eq!(FileLock::take(&path).unwrap_err().kind(), ErrorKind::Locked);
        drop(lock);
        let again = FileLock::take(&path).unwrap();
        drop(inherited);
        assert!(FileLock::take(&path).is_err(), "the old copy frees nothing");
        drop(again);
    }
}
