//! The lock that keeps a file to one opening, and ends with its process.

use std::fs::{OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use grid_core::{Error, ErrorKind, Result};

use crate::error;

#[expect(
    clippy::disallowed_types,
    reason = "a lock of the operating system needs a real file"
)]
type File = std::fs::File;

/// A lock on `FILE.lock`, held until dropped. The file stays: removing it would let two in.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Locks the database at `path`.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let lock_path = lock_path(path);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| error::from_io("lock sqlite", &lock_path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(locked(path)),
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

fn locked(path: &Path) -> Error {
    Error::new(
        ErrorKind::Locked,
        "open sqlite",
        "another process, or another part of this one, has the file open; close it there first",
    )
    .with("path", path.display())
}
