//! PostgreSQL, which the tests start for themselves.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::apt;
use crate::failure::{Failure, Result};
use crate::invocation::Invocation;

/// Where Debian keeps each version's programs, and where everybody else does.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Names the folder of the programs, for machines on which they are elsewhere.
const PROGRAMS: &str = "GRID_POSTGRES_BIN";

/// `pg_ctl` of any version, installed if need be; the suites take the newest there is.
///
/// # Errors
/// When it is absent and cannot be installed.
pub(crate) fn postgres() -> Result<Invocation> {
    if let Some(found) = find() {
        return Ok(Invocation::new(found));
    }
    apt::install(&["postgresql"])?;
    find().map(Invocation::new).ok_or_else(|| {
        Failure::new(format!(
            "PostgreSQL was installed, but not under {DEBIAN}: name its programs' folder with \
             {PROGRAMS}"
        ))
    })
}

fn find() -> Option<PathBuf> {
    if let Some(folder) = env::var_os(PROGRAMS) {
        return program(Path::new(&folder));
    }
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    debian
        .chain(env::split_paths(&path))
        .find_map(|folder| program(&folder))
}

/// Making a database and starting a server takes both.
fn program(folder: &Path) -> Option<PathBuf> {
    let control = folder.join("pg_ctl");
    (control.is_file() && folder.join("initdb").is_file()).then_some(control)
}
