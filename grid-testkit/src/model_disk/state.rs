//! The directory, its bound, and the faults that wait.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::{Error, ErrorKind, Result};

use super::fault::{DiskCall, Fault};
use super::file::ModelFile;

/// Everything behind the disk's lock.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) files: BTreeMap<String, ModelFile>,
    pub(super) capacity: usize,
    pub(super) ignores_sync: bool,
    /// Calls until the device stops answering.
    pub(super) power_for: Option<u64>,
    pub(super) calls: BTreeMap<DiskCall, u64>,
    /// The number of a call, counted over the disk's life, and how it fails.
    pub(super) faults: BTreeMap<(DiskCall, u64), Fault>,
    pub(super) random: fastrand::Rng,
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// As it should.
    Well,
    /// It fails; if it is an append, a part of it happened.
    Fails(Fault),
    /// The power is off.
    Dark,
}

impl Default for State {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            capacity: usize::MAX,
            ignores_sync: false,
            power_for: None,
            calls: BTreeMap::new(),
            faults: BTreeMap::new(),
            random: fastrand::Rng::with_seed(0),
        }
    }
}

impl State {
    /// Counts a call and looks up its fate.
    pub(super) fn begin(&mut self, call: DiskCall) -> Course {
        let count = self.calls.entry(call).or_default();
        *count += 1;
        let fault = self.faults.remove(&(call, *count));
        match &mut self.power_for {
            Some(0) => return Course::Dark,
            Some(left) => *left -= 1,
            None => {}
        }
        fault.map_or(Course::Well, Course::Fails)
    }

    pub(super) fn append(&mut self, name: &str, data: Bytes, course: Course) -> Result<u64> {
        let dark = course == Course::Dark;
        let used: usize = self.files.values().map(ModelFile::len).sum();
        let room = self.capacity.saturating_sub(used);
        let fault = match course {
            Course::Dark => Some(Fault::Io),
            Course::Fails(fault) => Some(fault),
            Course::Well if data.len() > room => Some(Fault::Full),
            Course::Well => None,
        };
        let Some(fault) = fault else {
            let file = self.files.entry(name.to_owned()).or_default();
            file.append(data);
            return Ok(file.len() as u64);
        };
        let part = self.random.usize(..=data.len()).min(room);
        if part > 0 && !dark {
            let file = self.files.entry(name.to_owned()).or_default();
            file.append(data.slice(..part));
        }
        Err(failure("append to file", name, fault))
    }

    pub(super) fn sync(&mut self, name: &str, course: Course) -> Result<()> {
        let ignores = self.ignores_sync;
        let file = self.file("sync file", name)?;
        match course {
            Course::Well if ignores => Ok(()),
            Course::Well => {
                file.sync();
                Ok(())
            }
            Course::Fails(fault) => {
                file.fail_sync(fault == Fault::Spoil);
                Err(failure("sync file", name, fault))
            }
            Course::Dark => Err(failure("sync file", name, Fault::Io)),
        }
    }

    pub(super) fn file(&mut self, operation: &'static str, name: &str) -> Result<&mut ModelFile> {
        self.files.get_mut(name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, operation, "there is no such file").with("file", name)
        })
    }

    pub(super) fn rename(&mut self, from: &str, to: &str, course: Course) -> Result<()> {
        self.file("rename file", from)?;
        // A rename that fails may have happened: the directory's sync comes after it.
        let happens = match course {
            Course::Well => true,
            Course::Fails(_) => self.random.bool(),
            Course::Dark => false,
        };
        if happens && let Some(mut file) = self.files.remove(from) {
            file.name();
            self.files.insert(to.to_owned(), file);
        }
        fail_unless_well("rename file", from, course)
    }

    pub(super) fn crash(&mut self) {
        let random = &mut self.random;
        self.files = std::mem::take(&mut self.files)
            .into_iter()
            .filter_map(|(name, file)| Some((name, file.crash(random)?)))
            .collect();
        self.restart();
    }

    pub(super) fn restart(&mut self) {
        for file in self.files.values_mut() {
            file.leave_zeros();
        }
        self.forget_faults();
    }

    pub(super) fn forget_faults(&mut self) {
        self.power_for = None;
        self.faults.clear();
    }
}

/// The error of a call that did not go well.
pub(super) fn fail_unless_well(operation: &'static str, name: &str, course: Course) -> Result<()> {
    match course {
        Course::Well => Ok(()),
        Course::Fails(fault) => Err(failure(operation, name, fault)),
        Course::Dark => Err(failure(operation, name, Fault::Io)),
    }
}

fn failure(operation: &'static str, name: &str, fault: Fault) -> Error {
    let (kind, message) = match fault {
        Fault::Full => (ErrorKind::Full, "the model disk is full; make room"),
        Fault::Io | Fault::Spoil => (ErrorKind::Io, "the model disk fails as it was told to"),
    };
    Error::new(kind, operation, message).with("file", name)
}
