//! Programs of one fixed version that are kept in the cache folder: from a wheel, which brings
//! the program ready built, or else from its source.

use std::path::{Path, PathBuf};

use super::wheel;
use crate::failure::{Failure, Result};
use crate::invocation::Invocation;
use crate::workspace::cache_dir;

/// A program that is released both as a wheel and as a crate.
#[derive(Debug)]
pub(super) struct Released {
    /// The name of the program, and of its crate.
    pub(super) program: &'static str,
    /// The version of both.
    pub(super) version: &'static str,
    /// The wheel that contains the program.
    pub(super) wheel: &'static str,
}

impl Released {
    /// The path of the program, after installing it if it is not there in the right version.
    ///
    /// # Errors
    /// When neither way of installing works; the message tells both.
    pub(super) fn ensure(&self) -> Result<PathBuf> {
        let folder = cache_dir()?.join(format!("{}-{}", self.program, self.version));
        let program = folder.join("bin").join(self.program);
        let candidates = [program.as_path(), Path::new(self.program)];
        if let Some(found) = candidates.into_iter().find(|found| self.is_right(found)) {
            return Ok(found.to_owned());
        }
        println!(
            "{} {} is missing: installing it",
            self.program, self.version
        );
        let from_wheel = wheel::install(&folder, self.wheel, self.version);
        if from_wheel.is_ok() && self.is_right(&program) {
            return Ok(program);
        }
        let from_source = self.install_crate(&folder);
        if from_source.is_ok() && self.is_right(&program) {
            return Ok(program);
        }
        let told = |outcome: Result<()>| match outcome {
            Ok(()) => "it installed something else".to_owned(),
            Err(failure) => failure.to_string(),
        };
        Err(Failure::new(format!(
            "cannot get {name} {version}: from the wheel {wheel}: {a}; from the crate: {b}. Install \
             it by hand with `cargo install {name}@{version}`",
            name = self.program,
            version = self.version,
            wheel = self.wheel,
            a = told(from_wheel),
            b = told(from_source),
        )))
    }

    fn is_right(&self, program: &Path) -> bool {
        Invocation::new(program)
            .arg("--version")
            .capture()
            .is_ok_and(|said| names_version(&said, self.version))
    }

    fn install_crate(&self, folder: &Path) -> Result<()> {
        Invocation::new("cargo")
            .args(["install", "--locked", "--force", "--root"])
            .arg(folder)
            .arg(format!("{}@{}", self.program, self.version))
            .run()
    }
}

/// Whether `said`, as a program answers `--version`, names exactly `version`.
fn names_version(said: &str, version: &str) -> bool {
    said.split_whitespace()
        .any(|word| word.strip_prefix('v').unwrap_or(word) == version)
}

#[cfg(test)]
mod tests {
    use super::names_version;

    #[test]
    fn takes_exactly_the_version_that_was_asked_for() {
        assert!(names_version("cargo-deny 0.20.2\n", "0.20.2"));
        assert!(names_version("mdbook v0.5.4", "0.5.4"));
        assert!(!names_version("mdbook v0.5.40", "0.5.4"));
        assert!(!names_version("", "0.5.4"));
    }
}
