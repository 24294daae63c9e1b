//! One open file: its end, the room behind it, and what its next sync has to do.

#![expect(
    clippy::disallowed_types,
    reason = "this is what Disk stands for: the one place that opens files"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Room that is taken at once for a file that is synced with each append, in bytes.
const AHEAD_BYTES: u64 = 256 * 1024;
/// An append that is not larger takes room that is written, in bytes.
///
/// A file system notes durably which blocks of taken room hold data: the sync of a first write to
/// one takes twice as long. Small appends meet one with every few; for large ones it costs less than
/// to write everything twice.
const SMALL_BYTES: u64 = 16 * 1024;
/// Zeros that are written at once. Systems that keep what was written in pieces of that size in
/// mind look through the whole piece when a part of it is synced.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// An open file, and what its next sync has to do.
pub(super) struct OpenFile {
    handle: File,
    /// The end of what was appended, in bytes.
    length: u64,
    /// Where the file ends, in bytes: zeros stand between the two.
    taken: u64,
    /// No room could be taken ahead the last time.
    grows_alone: bool,
    /// Its name may not be durable yet. Also so for a file that was found: whoever made it may
    /// have been killed before it synced.
    pub(super) new_name: bool,
    /// More than data and a grown length may have changed.
    shortened: bool,
    /// Something was changed through this handle since its last sync.
    dirty: bool,
}

impl OpenFile {
    pub(super) fn open(path: &Path, create: bool) -> io::Result<Self> {
        let handle = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(path)?;
        let length = handle.metadata()?.len();
        Ok(Self {
            handle,
            length,
            taken: length,
            grows_alone: false,
            new_name: true,
            shortened: true,
            dirty: false,
        })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Writes behind the end. After a failure the length is what was written.
    pub(super) fn append(&mut self, mut data: &[u8]) -> io::Result<()> {
        self.dirty = true;
        while !data.is_empty() {
            match self.handle.write_at(data, self.length) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    data = &data[written..];
                    self.length += written as u64;
                    self.taken = self.taken.max(self.length);
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.shortened {
            self.handle.sync_all()?;
        } else {
            self.handle.sync_data()?;
        }
        self.shortened = false;
        self.dirty = false;
        Ok(())
    }

    /// Up to `length` bytes from `offset`; fewer only at the end of what was appended.
    pub(super) fn read(&mut self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        let mut buffer = Vec::with_capacity(length);
        self.handle.seek(SeekFrom::Start(offset))?;
        Read::by_ref(&mut self.handle)
            .take(length as u64)
            .read_to_end(&mut buffer)?;
        Ok(buffer)
    }

    /// Cuts the file to `length`, which is not beyond its end.
    pub(super) fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.handle.set_len(length)?;
        (self.length, self.taken) = (length, length);
        self.grows_alone = false;
        self.shortened = true;
        self.dirty = true;
        Ok(())
    }

    /// Takes room for `bytes` more and what may follow, if there is some: without it the file grows
    /// with what is appended, and that says if there is none at all.
    pub(super) fn take_ahead(&mut self, bytes: u64) {
        self.take_ahead_by(bytes, take_room);
    }

    fn take_ahead_by(&mut self, bytes: u64, take: impl FnOnce(&File, u64, u64) -> io::Result<()>) {
        let needed = self.length + bytes;
        if needed <= self.taken || self.grows_alone {
            return;
        }
        self.dirty = true;
        let wanted = needed + AHEAD_BYTES - self.taken;
        let taken = take(&self.handle, self.taken, wanted).and_then(|()| {
            if bytes > SMALL_BYTES {
                return Ok(());
            }
            write_zeros(&self.handle, self.taken, wanted)
        });
        match taken {
            Ok(()) => self.taken += wanted,
            Err(error) => {
                tracing::debug!(%error, "a file grows without room taken ahead");
                self.grows_alone = true;
                // A part of it may be taken.
                self.taken += wanted;
                self.give_back();
            }
        }
    }

    /// Gives back the room that was taken ahead, and takes none until the file is shortened. There
    /// is nothing to sync: zeros may stand there after a crash.
    pub(super) fn give_back(&mut self) {
        if self.taken <= self.length {
            return;
        }
        self.grows_alone = true;
        match self.handle.set_len(self.length) {
            Ok(()) => self.taken = self.length,
            Err(error) => {
                tracing::warn!(%error, "a file keeps the room that was taken ahead of its content");
            }
        }
    }
}

/// Gives back the room that was taken ahead, unless somebody else made the file longer meanwhile.
impl Drop for OpenFile {
    fn drop(&mut self) {
        let ends_here = |file: &File| file.metadata().is_ok_and(|file| file.len() == self.taken);
        if self.taken > self.length && ends_here(&self.handle) {
            self.give_back();
        }
    }
}

/// Makes the file longer by `bytes` from `offset` on, which is its end, with room on the disk.
#[cfg(target_os = "linux")]
fn take_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    loop {
        match fallocate(file, FallocateFlags::empty(), offset, bytes) {
            Err(rustix::io::Errno::INTR) => {}
            taken => return Ok(taken?),
        }
    }
}

/// Makes the file longer by `bytes` from `offset` on, which is its end. The room on the disk is
/// taken as the file is written, so that a write there may still find none.
#[cfg(not(target_os = "linux"))]
fn take_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    file.set_len(offset + bytes)
}

/// Writes `bytes` zeros from `offset` on.
fn write_zeros(file: &File, mut offset: u64, bytes: u64) -> io::Result<()> {
    let end = offset + bytes;
    while offset < end {
        let piece = usize::try_from(end - offset).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all_at(&ZEROS[..piece], offset)?;
        offset += piece as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn open(place: &TempDir) -> OpenFile {
        OpenFile::open(&place.path().join("log"), true).unwrap()
    }

    fn on_disk(place: &TempDir) -> Vec<u8> {
        fs::read(place.path().join("log")).unwrap()
    }

    /// Appends with room taken ahead.
    fn append(file: &mut OpenFile, data: &[u8]) {
        file.take_ahead(data.len() as u64);
        file.append(data).unwrap();
    }

    #[test]
    fn room_that_is_taken_ahead_is_no_content_and_is_given_back() {
        let place = TempDir::new().unwrap();
        let mut file = open(&place);
        let large = vec![7; usize::try_from(AHEAD_BYTES).unwrap() + 9];
        for data in [b"first", &large[..], b"last"] {
            append(&mut file, data);
            assert!(on_disk(&place).len() as u64 > file.length(), "no room");
            let end = file.read(file.length() - 4, 100).unwrap();
            assert_eq!(end, data[data.len() - 4..]);
        }
        file.append(b"!").unwrap();
        let length = file.length();
        assert_eq!(file.read(length - 5, 100).unwrap(), b"last!");
        drop(file);
        assert_eq!(on_disk(&place).len() as u64, length);
    }

    /// Blocks of the disk that hold data of the file, in bytes: a file system tells them as such, and
    /// room that was only taken as holes.
    #[cfg(target_os = "linux")]
    fn written(file: &OpenFile) -> u64 {
        use rustix::fs::{SeekFrom, seek};
        let mut at = 0;
        let mut bytes = 0;
        while let Ok(data) = seek(&file.handle, SeekFrom::Data(at)) {
            at = seek(&file.handle, SeekFrom::Hole(data)).unwrap();
            bytes += at - data;
        }
        bytes
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn room_for_small_appends_is_written_and_for_large_ones_only_taken() {
        // The temporary directory is memory at times, which knows no such room.
        let place = TempDir::new_in(".").unwrap();
        let mut small = open(&place);
        let data = vec![1; usize::try_from(SMALL_BYTES).unwrap() + 1];
        append(&mut small, &data[1..]);
        small.sync().unwrap();
        assert!(written(&small) >= AHEAD_BYTES + SMALL_BYTES);
        let place = TempDir::new_in(".").unwrap();
        let mut large = open(&place);
        append(&mut large, &data);
        large.sync().unwrap();
        assert!(written(&large) < AHEAD_BYTES);
    }

    #[test]
    fn what_is_cut_off_does_not_come_back_in_room_that_was_taken_ahead() {
        let place = TempDir::new().unwrap();
        let mut file = open(&place);
        append(&mut file, b"123456");
        file.truncate(2).unwrap();
        assert_eq!(on_disk(&place), b"12");
        append(&mut file, b"7");
        assert_eq!(file.read(0, 100).unwrap(), b"127");
        // As when the program is killed: nothing but zeros stands behind the content.
        std::mem::forget(file);
        let content = on_disk(&place);
        assert!(content.starts_with(b"127") && content.len() > 3);
        assert!(content[3..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_handle_that_closes_late_leaves_what_another_one_appended() {
        let place = TempDir::new().unwrap();
        let mut first = open(&place);
        append(&mut first, b"1");
        let mut second = open(&place);
        second.append(b"2").unwrap();
        drop(first);
        assert_eq!(on_disk(&place).last(), Some(&b'2'));
        assert_eq!(second.read(second.length() - 1, 9).unwrap(), b"2");
    }

    #[test]
    fn a_file_for_which_no_room_can_be_taken_ahead_keeps_none_and_grows_alone() {
        let place = TempDir::new().unwrap();
        let mut file = open(&place);
        file.append(b"123").unwrap();
        // As where the disk has a part of what is wanted.
        let full = |file: &File, offset: u64, bytes: u64| {
            assert_eq!(offset, 3);
            file.set_len(offset + bytes / 2)?;
            Err(io::ErrorKind::StorageFull.into())
        };
        file.take_ahead_by(2 * AHEAD_BYTES, full);
        assert_eq!(on_disk(&place), b"123", "a part of the room is kept");
        let again = |_: &File, _, _| panic!("it is tried for each append");
        file.take_ahead_by(1, again);
        append(&mut file, b"4");
        assert_eq!(on_disk(&place), b"1234");
        assert_eq!(file.read(0, 9).unwrap(), b"1234");
        file.truncate(2).unwrap();
        append(&mut file, b"5");
        assert!(on_disk(&place).len() > 3, "there may be room again");
    }

    #[test]
    fn no_file_system_has_room_for_more_than_a_file_can_be() {
        let place = TempDir::new().unwrap();
        let mut file = open(&place);
        file.append(b"123").unwrap();
        file.take_ahead(u64::MAX / 2 - 2 * AHEAD_BYTES);
        assert_eq!(on_disk(&place), b"123");
        append(&mut file, b"4");
        assert_eq!(on_disk(&place), b"1234");
    }

    #[test]
    fn room_that_was_given_back_is_not_taken_again_before_the_file_is_shortened() {
        let place = TempDir::new().unwrap();
        let mut file = open(&place);
        append(&mut file, b"123");
        file.give_back();
        append(&mut file, b"4");
        assert_eq!(on_disk(&place), b"1234");
        file.truncate(1).unwrap();
        append(&mut file, b"5");
        assert!(on_disk(&place).len() > 2);
        assert_eq!(file.read(0, 100).unwrap(), b"15");
    }
}
