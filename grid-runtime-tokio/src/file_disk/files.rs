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
use grid_core::traits::AppendFailure;
use grid_core::{Error, ErrorKind, Result};

use super::error;

/// Handles that stay open; beyond it an idle one is closed.
const MAX_OPEN_FILES: usize = 64;

/// Room that is taken at once for a file that is synced with each append, in bytes.
const AHEAD_BYTES: u64 = 1024 * 1024;

/// An open file, and what its next sync has to do.
struct OpenFile {
    handle: File,
    length: u64,
    /// Up to where room is taken, in bytes; zeros stand behind `length`.
    taken: u64,
    /// No room could be taken ahead the last time.
    grows_alone: bool,
    /// Its name may not be durable yet. Also so for a file that was found: whoever made it may
    /// have been killed before it synced.
    new_name: bool,
    /// More than data and a grown length may have changed.
    shortened: bool,
    /// Something was changed through this handle since its last sync.
    dirty: bool,
}

impl OpenFile {
    /// Writes behind the end. After a failure the length is what was written.
    fn append(&mut self, mut data: &[u8]) -> io::Result<()> {
        self.dirty = true;
        self.handle.seek(SeekFrom::Start(self.length))?;
        while !data.is_empty() {
            match self.handle.write(data) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    data = &data[written..];
                    self.length += written as u64;
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        self.taken = self.taken.max(self.length);
        Ok(())
    }

    /// Takes room for `bytes` more and what may follow, if there is some: without it the file grows
    /// with what is appended, and that says if there is none at all.
    fn take_ahead(&mut self, bytes: u64) {
        let needed = self.length + bytes;
        if needed <= self.taken || self.grows_alone {
            return;
        }
        self.dirty = true;
        let wanted = needed + AHEAD_BYTES - self.taken;
        match take_room(&self.handle, self.taken, wanted) {
            Ok(()) => self.taken += wanted,
            // A part may be taken. It is given back when the file is closed or shortened.
            Err(_) => self.grows_alone = true,
        }
    }
}

/// Gives back the room that was taken ahead.
impl Drop for OpenFile {
    fn drop(&mut self) {
        let is_longer = self.taken > self.length || self.grows_alone;
        if is_longer && let Err(error) = self.handle.set_len(self.length) {
            tracing::warn!(%error, "a file keeps the room that was taken ahead of its content");
        }
    }
}

/// Takes `bytes` of room from `offset` on, which is the end; zeros stand there.
#[cfg(target_os = "linux")]
fn take_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::empty(), offset, bytes)?)
}

/// Takes `bytes` of room from `offset` on, which is the end; zeros stand there.
#[cfg(not(target_os = "linux"))]
fn take_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    file.set_len(offset + bytes)
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
        create_directories(directory, sync_directory)?;
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
        open.append(data).map_err(fail)?;
        Ok(open.length)
    }

    /// Appends and syncs, with room taken ahead.
    pub(super) fn append_and_sync(
        &mut self,
        file: &str,
        data: &[u8],
    ) -> Result<u64, AppendFailure> {
        let path = self.path(file);
        let fail = |cause| AppendFailure::NotAppended(error::at("append to file", &path, cause));
        let open = self.file(file, true).map_err(fail)?;
        open.take_ahead(data.len() as u64);
        open.append(data).map_err(fail)?;
        let length = open.length;
        self.sync(file).map_err(AppendFailure::NotSynced)?;
        Ok(length)
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
        // Whoever writes moves it again.
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
        (open.length, open.taken) = (length, length);
        open.grows_alone = false;
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
                .write(true)
                .create(create)
                .truncate(false)
                .open(&path)?;
            let length = handle.metadata()?.len();
            let open = OpenFile {
                handle,
                length,
                taken: length,
                grows_alone: false,
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

/// Creates `directory` and its missing parents, and makes their names durable: `sync` is told each
/// directory that got a new entry, once it has it.
fn create_directories(
    directory: &Path,
    mut sync: impl FnMut(&Path) -> io::Result<()>,
) -> Result<()> {
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
        sync(parent).map_err(fail)?;
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A directory whose names cannot be made durable: its handle is that of a device that has
    /// nothing to sync. What returns an error there is what would have synced the directory.
    fn unsyncable(place: &TempDir) -> Files {
        let mut files = Files::open(place.path()).unwrap();
        files.handle = File::open("/dev/null").unwrap();
        files
    }

    fn restore(files: &mut Files) {
        files.handle = File::open(&files.directory).unwrap();
    }

    #[test]
    fn the_first_sync_of_a_file_makes_its_name_durable_and_later_ones_need_not() {
        let place = TempDir::new().unwrap();
        let mut files = unsyncable(&place);
        files.append("log", b"1").unwrap();
        for _ in 0..2 {
            let error = files.sync("log").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.to_string().contains("sync directory"), "{error}");
        }
        restore(&mut files);
        files.sync("log").unwrap();
        files.handle = File::open("/dev/null").unwrap();
        files.append("log", b"2").unwrap();
        files.sync("log").unwrap();
        // Whoever made a file that is found may have ended before it synced the name.
        let mut again = unsyncable(&place);
        again.append("log", b"3").unwrap();
        assert_eq!(again.sync("log").unwrap_err().kind(), ErrorKind::Io);
    }

    /// The length that the system knows.
    fn on_disk(place: &TempDir) -> u64 {
        fs::metadata(place.path().join("log")).unwrap().len()
    }

    #[test]
    fn room_that_is_taken_ahead_is_no_content_and_is_given_back() {
        let place = TempDir::new().unwrap();
        let mut files = Files::open(place.path()).unwrap();
        let large = vec![7; usize::try_from(AHEAD_BYTES).unwrap() + 9];
        let mut length = 0;
        for data in [b"first", &large[..], b"last"] {
            length += data.len() as u64;
            assert_eq!(files.append_and_sync("log", data).unwrap(), length);
            assert!(on_disk(&place) > length, "no room was taken");
            let end = files.read("log", length - 4, 100).unwrap();
            assert_eq!(end, data[data.len() - 4..]);
        }
        assert_eq!(files.append("log", b"!").unwrap(), length + 1);
        assert_eq!(&*files.read("log", length - 4, 100).unwrap(), b"last!");
        drop(files);
        assert_eq!(on_disk(&place), length + 1);
    }

    #[test]
    fn what_is_cut_off_does_not_come_back_in_room_that_was_taken_ahead() {
        let place = TempDir::new().unwrap();
        let mut files = Files::open(place.path()).unwrap();
        files.append_and_sync("log", b"123456").unwrap();
        files.truncate("log", 2).unwrap();
        assert_eq!(on_disk(&place), 2);
        files.append_and_sync("log", b"7").unwrap();
        assert_eq!(&*files.read("log", 0, 100).unwrap(), b"127");
        // As when the program is killed: nothing but zeros stands behind the content.
        std::mem::forget(files);
        let content = fs::read(place.path().join("log")).unwrap();
        assert!(content.starts_with(b"127") && content.len() > 3);
        assert!(content[3..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn renaming_and_removing_are_durable_when_they_return() {
        let place = TempDir::new().unwrap();
        let mut files = unsyncable(&place);
        files.append("a", b"1").unwrap();
        assert_eq!(files.rename("a", "b").unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(files.remove("b").unwrap_err().kind(), ErrorKind::Io);
        files.append("a", b"1").unwrap();
        restore(&mut files);
        files.rename("a", "b").unwrap();
        files.remove("b").unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn each_directory_that_is_made_is_durable_before_the_next_one() {
        let place = TempDir::new().unwrap();
        let deep = place.path().join("a/b");
        let mut synced = Vec::new();
        let made = create_directories(&deep, |parent| {
            synced.push((parent.to_owned(), deep.exists()));
            sync_directory(parent)
        });
        made.unwrap();
        let outer = place.path().to_owned();
        assert_eq!(synced, [(outer.clone(), false), (outer.join("a"), true)]);
        let error = create_directories(&deep.join("c"), |_| Err(io::ErrorKind::Other.into()));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Io);
        // A device that can be opened, and has nothing to sync.
        assert!(sync_directory(Path::new("/dev/null")).is_err());
    }
}
