//! The blocking side: open handles, and what has to be synced for each.

#![expect(
    clippy::disallowed_types,
    reason = "this is what Disk stands for: the one place that opens files"
)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use grid_core::{Error, ErrorKind, Result};

use super::error;

/// Handles that stay open; beyond it an idle one is closed.
const MAX_OPEN_FILES: usize = 64;

/// An open file, and what its next sync has to do.
struct OpenFile {
    handle: File,
    length: u64,
    /// Its name may not be durable yet. Also so for a file that was found: whoever made it may
    /// have been killed before it synced.
    new_name: bool,
    /// More than data and a grown length may have changed.
    shortened: bool,
    /// Something was changed through this handle since its last sync.
    dirty: bool,
}

/// The directory and its open files.
pub(super) struct Files {
    directory: PathBuf,
    handle: File,
    open: BTreeMap<String, OpenFile>,
}

impl Files {
    /// Opens the directory, creating what is missing of its path durably.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        create_directories(directory)?;
        let fail = |cause| error::at("open directory", directory, cause);
        let handle = File::open(directory).map_err(fail)?;
        if !handle.metadata().map_err(fail)?.is_dir() {
            return Err(fail(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Self {
            directory: directory.to_owned(),
            handle,
            open: BTreeMap::new(),
        })
    }

    pub(super) fn append(&mut self, file: &str, data: &[u8]) -> Result<u64> {
        let path = self.path(file);
        let fail = |cause| error::at("append to file", &path, cause);
        let open = self.file(file, true).map_err(fail)?;
        open.dirty = true;
        if let Err(cause) = open.handle.write_all(data) {
            // A part may have been written: what the length is now only the system knows.
            open.length = open.handle.metadata().map_err(fail)?.len();
            return Err(fail(cause));
        }
        open.length += data.len() as u64;
        Ok(open.length)
    }

    pub(super) fn sync(&mut self, file: &str) -> Result<()> {
        let path = self.path(file);
        let fail = |cause| error::at("sync file", &path, cause);
        let open = self.file(file, false).map_err(fail)?;
        if open.shortened {
            open.handle.sync_all().map_err(fail)?;
        } else {
            open.handle.sync_data().map_err(fail)?;
        }
        open.shortened = false;
        open.dirty = false;
        if open.new_name {
            self.sync_names(file)?;
            self.file(file, false).map_err(fail)?.new_name = false;
        }
        Ok(())
    }

    pub(super) fn read(&mut self, file: &str, offset: u64, length: usize) -> Result<Bytes> {
        let path = self.path(file);
        let fail = |cause| error::at("read file", &path, cause);
        let open = self.file(file, false).map_err(fail)?;
        let left = usize::try_from(open.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        let mut buffer = Vec::with_capacity(length);
        // The handle appends wherever it stands, so moving it disturbs nobody.
        open.handle.seek(SeekFrom::Start(offset)).map_err(fail)?;
        Read::by_ref(&mut open.handle)
            .take(length as u64)
            .read_to_end(&mut buffer)
            .map_err(fail)?;
        Ok(buffer.into())
    }

    pub(super) fn truncate(&mut self, file: &str, length: u64) -> Result<()> {
        let path = self.path(file);
        let fail = |cause| error::at("truncate file", &path, cause);
        let open = self.file(file, false).map_err(fail)?;
        if length > open.length {
            return Err(Error::new(
                ErrorKind::Invalid,
                "truncate file",
                format!("it is shorter: {} bytes, not {length}", open.length),
            )
            .with("path", path.display()));
        }
        open.handle.set_len(length).map_err(fail)?;
        open.length = length;
        open.shortened = true;
        open.dirty = true;
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let path = self.path(from);
        fs::rename(&path, self.path(to)).map_err(|cause| error::at("rename file", &path, cause))?;
        self.open.remove(to);
        if let Some(open) = self.open.remove(from) {
            self.open.insert(to.to_owned(), open);
        }
        self.sync_names(to)
    }

    pub(super) fn remove(&mut self, file: &str) -> Result<()> {
        self.open.remove(file);
        let path = self.path(file);
        match fs::remove_file(&path) {
            Ok(()) => self.sync_names(file),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(error::at("remove file", &path, cause)),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// Makes the names in the directory durable.
    fn sync_names(&self, file: &str) -> Result<()> {
        self.handle
            .sync_all()
            .map_err(|cause| error::at("sync directory", &self.path(file), cause))
    }

    /// The open handle of `file`.
    fn file(&mut self, file: &str, create: bool) -> io::Result<&mut OpenFile> {
        if !self.open.contains_key(file) {
            self.make_room();
            let path = self.path(file);
            let handle = OpenOptions::new()
                .read(true)
                .append(true)
                .create(create)
                .open(&path)?;
            let length = handle.metadata()?.len();
            let open = OpenFile {
                handle,
                length,
                new_name: true,
                shortened: true,
                dirty: false,
            };
            self.open.insert(file.to_owned(), open);
        }
        self.open
            .get_mut(file)
            .ok_or_else(|| io::Error::other("the handle that was just opened is gone"))
    }

    /// Closes a handle that has nothing left to sync when there are too many.
    fn make_room(&mut self) {
        if self.open.len() < MAX_OPEN_FILES {
            return;
        }
        let idle = self
            .open
            .iter()
            .find(|(_, open)| !open.dirty)
            .map(|(name, _)| name.clone());
        if let Some(name) = idle {
            self.open.remove(&name);
        }
    }
}

/// Creates `directory` and its missing parents, and makes their names durable.
fn create_directories(directory: &Path) -> Result<()> {
    let mut missing = Vec::new();
    let mut current = Some(directory);
    while let Some(path) = current.filter(|path| !path.as_os_str().is_empty() && !path.exists()) {
        missing.push(path);
        current = path.parent();
    }
    for path in missing.into_iter().rev() {
        let fail = |cause| error::at("create directory", path, cause);
        match fs::create_dir(path) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(fail(cause)),
            _ => {}
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(fail)?;
    }
    Ok(())
}
