//! The blocking side: the directory and its open handles.

#![expect(
    clippy::disallowed_types,
    reason = "this is what Disk stands for: the one place that opens files"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use grid_core::traits::AppendFailure;
use grid_core::{Error, ErrorKind, Result};

use super::error;
use super::open_file::OpenFile;

/// Handles that stay open; beyond it an idle one is closed.
const MAX_OPEN_FILES: usize = 64;

/// The directory and its open files.
pub(super) struct Files {
    directory: PathBuf,
    handle: File,
    open: BTreeMap<String, OpenFile>,
    /// The file for which room is taken ahead.
    ahead: Option<String>,
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
            ahead: None,
        })
    }

    pub(super) fn append(&mut self, file: &str, data: &[u8]) -> Result<u64> {
        self.append_by(file, data, OpenFile::append)
    }

    fn append_by(
        &mut self,
        file: &str,
        data: &[u8],
        write: impl Fn(&mut OpenFile, &[u8]) -> io::Result<()>,
    ) -> Result<u64> {
        let path = self.path(file);
        let fail = |cause| error::at("append to file", &path, cause);
        let open = self.file(file, true).map_err(fail)?;
        let before = open.length();
        match write(open, data) {
            // The room that other files have taken ahead, and this one, may be what is missing.
            Err(cause) if is_full(&cause) && self.give_back() => {
                let open = self.file(file, true).map_err(fail)?;
                let written = usize::try_from(open.length() - before).unwrap_or(data.len());
                write(open, &data[written..]).map_err(fail)?;
            }
            appended => appended.map_err(fail)?,
        }
        Ok(self.file(file, false).map_err(fail)?.length())
    }

    /// Appends and syncs, with room taken ahead. One file at a time has such room.
    pub(super) fn append_and_sync(
        &mut self,
        file: &str,
        data: &[u8],
    ) -> Result<u64, AppendFailure> {
        if self.ahead.as_deref() != Some(file) {
            self.give_back();
            self.ahead = Some(file.to_owned());
        }
        let path = self.path(file);
        let fail = |cause| AppendFailure::NotAppended(error::at("append to file", &path, cause));
        let open = self.file(file, true).map_err(fail)?;
        open.take_ahead(data.len() as u64);
        let length = self.append(file, data);
        let length = length.map_err(AppendFailure::NotAppended)?;
        self.sync(file).map_err(AppendFailure::NotSynced)?;
        Ok(length)
    }

    /// Gives back what room was taken ahead; whether there was a file with such room.
    fn give_back(&mut self) -> bool {
        let open = self.ahead.take().and_then(|file| self.open.get_mut(&file));
        open.map(OpenFile::give_back).is_some()
    }

    pub(super) fn sync(&mut self, file: &str) -> Result<()> {
        let path = self.path(file);
        let fail = |cause| error::at("sync file", &path, cause);
        let open = self.file(file, false).map_err(fail)?;
        open.sync().map_err(fail)?;
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
        Ok(open.read(offset, length).map_err(fail)?.into())
    }

    pub(super) fn truncate(&mut self, file: &str, length: u64) -> Result<()> {
        let path = self.path(file);
        let fail = |cause| error::at("truncate file", &path, cause);
        let open = self.file(file, false).map_err(fail)?;
        if length > open.length() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "truncate file",
                format!("it is shorter: {} bytes, not {length}", open.length()),
            )
            .with("path", path.display()));
        }
        open.truncate(length).map_err(fail)
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
            let open = OpenFile::open(&self.path(file), create)?;
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
            .find(|(_, open)| !open.is_dirty())
            .map(|(name, _)| name.clone());
        if let Some(name) = idle {
            self.open.remove(&name);
        }
    }
}

/// Whether there is no room, on the disk or for this user.
fn is_full(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    kinds.contains(&error.kind())
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

    fn on_disk(place: &TempDir, name: &str) -> u64 {
        fs::metadata(place.path().join(name)).unwrap().len()
    }

    #[test]
    fn one_file_has_room_taken_ahead_and_every_other_is_as_long_as_its_content() {
        let place = TempDir::new().unwrap();
        let mut files = Files::open(place.path()).unwrap();
        // More than there may be handles, so that some are closed and opened again.
        let names: Vec<String> = (0..MAX_OPEN_FILES + 6).map(|n| n.to_string()).collect();
        for round in 1..=3 {
            for name in &names {
                let length = files.append_and_sync(name, b"12345").unwrap();
                assert_eq!(length, 5 * round, "{name}");
                assert!(files.open.len() <= MAX_OPEN_FILES);
            }
        }
        let (last, others) = names.split_last().unwrap();
        for name in others {
            assert_eq!(on_disk(&place, name), 15, "{name}");
        }
        files.rename(last, "renamed").unwrap();
        assert_eq!(files.append("renamed", b"6").unwrap(), 16);
        files.remove(&names[0]).unwrap();
        assert_eq!(files.append(&names[0], b"7").unwrap(), 1);
        drop(files);
        assert_eq!(on_disk(&place, "renamed"), 16);
    }

    /// Writes what fits into `quota` bytes of all files together.
    fn write_within(
        place: &TempDir,
        quota: u64,
        open: &mut OpenFile,
        data: &[u8],
    ) -> io::Result<()> {
        let files = fs::read_dir(place.path())?;
        let used: u64 = files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        let left = usize::try_from(quota.saturating_sub(used)).unwrap();
        let (fits, rest) = data.split_at(left.min(data.len()));
        open.append(fits)?;
        match rest {
            [] => Ok(()),
            _ => Err(io::ErrorKind::QuotaExceeded.into()),
        }
    }

    #[test]
    fn a_quota_takes_back_the_room_that_was_taken_ahead_before_an_append_fails() {
        let place = TempDir::new().unwrap();
        let mut files = Files::open(place.path()).unwrap();
        files.append_and_sync("log", b"12345").unwrap();
        let quota = on_disk(&place, "log") + 3;
        assert!(quota > 100, "there is room ahead");
        let write = |open: &mut OpenFile, data: &[u8]| write_within(&place, quota, open, data);
        assert_eq!(files.append_by("other", b"abcdefgh", write).unwrap(), 8);
        assert_eq!(on_disk(&place, "log"), 5);
        assert_eq!(fs::read(place.path().join("other")).unwrap(), b"abcdefgh");
        let large = vec![7; usize::try_from(quota).unwrap()];
        let error = files.append_by("other", &large, write).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full);
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
