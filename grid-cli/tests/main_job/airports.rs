//! The public data set.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::State;

/// The file, and its entries as `grid import` brings them in.
pub(crate) fn load() -> (PathBuf, State) {
    let file = path();
    assert!(
        file.is_file(),
        "{} is missing; run `cargo xtask setup`, or name it in GRID_TEST_AIRPORTS",
        file.display()
    );
    let mut reader = csv::Reader::from_path(&file).unwrap();
    let headers = reader.headers().unwrap().clone();
    let entries = reader.records().map(|row| {
        let row = row.unwrap();
        let fields = headers.iter().zip(row.iter());
        let object: Map<String, Value> = fields
            .map(|(name, text)| (name.to_owned(), Value::from(text)))
            .collect();
        (
            object["icao"].as_str().unwrap().to_owned(),
            Value::Object(object),
        )
    });
    let entries = entries.collect();
    (file, entries)
}

fn path() -> PathBuf {
    if let Some(path) = std::env::var_os("GRID_TEST_AIRPORTS") {
        return path.into();
    }
    let cache = std::env::var_os("GRID_CACHE_DIR")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
            let base =
                home("XDG_CACHE_HOME").or_else(|| home("HOME").map(|home| home.join(".cache")));
            base.unwrap_or_default().join("hybrid-grid")
        });
    cache.join("data").join("airports.csv")
}
