//! Packages from PyPI, each in a virtual environment of its own.

use std::path::Path;

use super::apt;
use crate::failure::Result;
use crate::invocation::Invocation;

/// Makes `folder` a virtual environment that holds exactly this package.
///
/// # Errors
/// As [`install_all`].
pub(super) fn install(folder: &Path, package: &str, version: &str) -> Result<()> {
    install_all(folder, &[(package, version)])
}

/// Makes `folder` a virtual environment that holds exactly these packages, in these versions.
///
/// # Errors
/// When Python or a package cannot be had.
pub(super) fn install_all(folder: &Path, packages: &[(&str, &str)]) -> Result<()> {
    let environment = || {
        Invocation::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder)
    };
    if environment().run().is_err() {
        apt::install(&["python3", "python3-venv"])?;
        environment().run()?;
    }
    Invocation::new(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet"])
        .args(["--disable-pip-version-check", "--no-deps"])
        .args(
            packages
                .iter()
                .map(|(name, version)| format!("{name}=={version}")),
        )
        .run()
}
