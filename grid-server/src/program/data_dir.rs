//! The data folder: made if need be, and this process's alone.

use std::fs::{OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use grid_core::{Error, ErrorKind, Result};

#[expect(
    clippy::disallowed_types,
    reason = "a lock of the operating system needs a real file"
)]
type File = std::fs::File;

/// The longest number of a process that is read, in bytes.
const MAX_PID_BYTES: u64 = 20;

/// A data folder, locked until dropped. The lock dies with the process.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the folder at `path`; it is made if its parent exists.
    ///
    /// # Errors
    /// `NotFound` when the parent does not exist, `Locked` when another process has the folder.
    pub(super) fn take(path: &Path) -> Result<Self> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(failed(
                    ErrorKind::NotFound,
                    path,
                    "the folder that it should lie in does not exist; make that first",
                )
                .with_source(error));
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(ErrorKind::Io, path, "it cannot be made").with_source(error));
            }
            _ => {}
        }
        if !path.is_dir() {
            return Err(failed(
                ErrorKind::Invalid,
                path,
                "a file stands there; name a folder with --data-dir",
            ));
        }
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(|error| {
                failed(ErrorKind::Io, path, "it cannot be written to").with_source(error)
            })?;
        match file.try_lock() {
            Ok(()) => {
                // It only helps people to find the process: a full disk is no reason to fail.
                let _told = file
                    .set_len(0)
                    .and_then(|()| write!(file, "{}", std::process::id()));
                Ok(Self {
                    path: path.to_owned(),
                    _lock: file,
                })
            }
            Err(TryLockError::WouldBlock) => Err(locked(path, &mut file)),
            Err(TryLockError::Error(error)) => {
                Err(failed(ErrorKind::Io, path, "it cannot be locked").with_source(error))
            }
        }
    }

    /// The folder of the journal.
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// What the files of the journal take up, in bytes, now and whenever it is asked; none when the
    /// operating system does not tell.
    pub(super) fn journal_bytes(&self) -> impl Fn() -> Option<u64> + Send + Sync + 'static {
        let folder = self.journal();
        move || {
            let mut bytes = 0;
            for file in std::fs::read_dir(&folder).ok()? {
                // A segment may go while its folder is read.
                bytes += file.ok()?.metadata().map_or(0, |file| file.len());
            }
            Some(bytes)
        }
    }

    /// Gives the folder of the journal another name, and returns it.
    ///
    /// # Errors
    /// `Io` when the operating system refuses.
    pub(super) fn set_journal_aside(&self) -> Result<PathBuf> {
        let mut number = 1;
        let aside = loop {
            let path = self.path.join(format!("journal.aside-{number}"));
            if !path.exists() {
                break path;
            }
            number += 1;
        };
        match std::fs::rename(self.journal(), &aside) {
            Ok(()) => Ok(aside),
            Err(error) => {
                let message = "its journal cannot be given another name";
                Err(failed(ErrorKind::Io, &self.path, message).with_source(error))
            }
        }
    }

    /// Gives the folder of the journal its name back, in place of one that was begun meanwhile.
    ///
    /// # Errors
    /// `Io` when the operating system refuses.
    pub(super) fn put_journal_back(&self, aside: &Path) -> Result<()> {
        let put_back = match std::fs::remove_dir_all(self.journal()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::fs::rename(aside, self.journal()),
        };
        put_back.map_err(|error| {
            let message = "its journal, which was set aside, cannot get its name back";
            failed(ErrorKind::Io, &self.path, message)
                .with("journal", aside.display())
                .with_source(error)
        })
    }

    /// The URL of the embedded database.
    ///
    /// # Errors
    /// `Invalid` when the folder's name is not UTF-8.
    pub(super) fn database(&self) -> Result<String> {
        let file = self.path.join("grid.db");
        let name = file.to_str().ok_or_else(|| {
            failed(
                ErrorKind::Invalid,
                &self.path,
                "its name is not UTF-8, which the embedded database needs; rename it",
            )
        })?;
        Ok(format!("sqlite://{name}"))
    }
}

fn locked(path: &Path, file: &mut File) -> Error {
    let error = failed(
        ErrorKind::Locked,
        path,
        "another grid-server runs on it; stop that one, or name another folder with --data-dir",
    );
    let mut holder = String::new();
    // Not everywhere can a locked file be read.
    match file.take(MAX_PID_BYTES).read_to_string(&mut holder) {
        Ok(_) if !holder.is_empty() => error.with("process", holder),
        _ => error,
    }
}

fn failed(kind: ErrorKind, path: &Path, message: &str) -> Error {
    Error::new(kind, "open data folder", message).with("path", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = DataDir::take(&path).unwrap();
        let error = DataDir::take(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("data"), "{error}");
        let holder = format!("process: {}", std::process::id());
        assert!(error.to_string().contains(&holder), "{error}");
        drop(first);
        DataDir::take(&path).unwrap();
    }

    #[test]
    fn a_missing_parent_and_a_file_in_the_way_are_named() {
        let parent = tempfile::tempdir().unwrap();
        let error = DataDir::take(&parent.path().join("a/b")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("a/b"), "{error}");
        let file = parent.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let error = DataDir::take(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }
}
