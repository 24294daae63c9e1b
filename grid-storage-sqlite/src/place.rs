//! From a URL to the one name of a file.

use std::io;
use std::path::{Path, PathBuf};

use grid_core::{Error, ErrorKind, Result};

use crate::error;

/// What stands behind `sqlite://`, as it stands.
pub(crate) fn path_of(url: &str) -> Result<PathBuf> {
    let invalid = |message: &str| {
        Err(Error::new(ErrorKind::Invalid, "open sqlite", message).with("url", url))
    };
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return invalid("expected sqlite://FILE");
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() {
        return invalid("names no file; write sqlite://FILE");
    }
    if path == ":memory:" {
        return invalid("a database in memory is the memory backend's work; write memory:");
    }
    if path.contains('?') {
        return invalid("parameters are not understood; write sqlite://FILE without `?`");
    }
    Ok(PathBuf::from(path))
}

/// The one absolute name of the file at `path`, through links; its directory must exist.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf> {
    let failed = |error| io_error(path, error);
    let absolute = std::path::absolute(path).map_err(failed)?;
    let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(unusable(path, "names no file; add a file name"));
    };
    let directory = match directory.canonicalize() {
        Ok(directory) if directory.is_dir() => directory,
        Ok(_) => return Err(unusable(path, "lies in something that is not a directory")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(missing_directory(path, directory));
        }
        Err(error) => return Err(io_error(path, error)),
    };
    let file = match directory.join(name).canonicalize() {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => directory.join(name),
        Err(error) => return Err(io_error(path, error)),
    };
    if file.is_dir() {
        return Err(unusable(path, "is a directory; name a file in it"));
    }
    if file.to_str().is_none() {
        return Err(unusable(
            path,
            "is not UTF-8, which SQLite needs; rename it",
        ));
    }
    Ok(file)
}

fn missing_directory(path: &Path, directory: &Path) -> Error {
    let directory = directory.display();
    Error::new(
        ErrorKind::NotFound,
        "open sqlite",
        format!("the directory {directory} does not exist; create it (mkdir -p '{directory}')"),
    )
    .with("path", path.display())
}

fn unusable(path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "open sqlite", message).with("path", path.display())
}

fn io_error(path: &Path, error: io::Error) -> Error {
    error::from_io("open sqlite", path, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_as_it_stands() {
        for (url, path) in [
            ("sqlite://notes.db", "notes.db"),
            ("sqlite:notes.db", "notes.db"),
            ("sqlite:///var/lib/grid.db", "/var/lib/grid.db"),
            ("sqlite://a b%20c#d.db", "a b%20c#d.db"),
            ("sqlite://../x.db", "../x.db"),
        ] {
            assert_eq!(path_of(url).unwrap(), Path::new(path), "{url}");
        }
    }

    #[test]
    fn what_names_no_file_is_refused_with_a_way_out() {
        for (url, part) in [
            ("sqlite:", "sqlite://FILE"),
            ("sqlite://", "sqlite://FILE"),
            ("sqlite::memory:", "write memory:"),
            ("sqlite://:memory:", "write memory:"),
            ("sqlite://notes.db?mode=rwc", "parameters"),
            ("memory:", "sqlite://FILE"),
        ] {
            let error = path_of(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.message().contains(part), "{error}");
        }
    }
}
