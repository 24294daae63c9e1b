//! A Rust toolchain that builds for `wasm32-unknown-unknown`.
//!
//! There are two. The toolchain in use may have the target in its sysroot, as rustup adds it.
//! Where that cannot be had, Debian packages a toolchain with the source of the standard library,
//! which is then built along.

use std::env;
use std::path::{Path, PathBuf};

use super::apt;
use crate::failure::{Failure, Result};
use crate::invocation::Invocation;
use crate::workspace::Workspace;

/// The target of browsers.
const TARGET: &str = "wasm32-unknown-unknown";
/// The variable that asks for one of the two: `sysroot` or `debian`.
const CHOICE: &str = "GRID_WASM_TOOLCHAIN";
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-19"];

/// Where the toolchain comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WasmToolchain {
    /// The toolchain in use has the target.
    Sysroot,
    /// Debian's toolchain, which builds the standard library itself.
    Debian,
}

impl WasmToolchain {
    /// The toolchain that is asked for, or else the one that is there, installed if need be.
    ///
    /// # Errors
    /// When it cannot be had; the message names what to install.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let choice = env::var(CHOICE).unwrap_or_default();
        let in_sysroot = sysroot_has_target();
        match choose(&choice, in_sysroot, apt::is_there())? {
            Self::Sysroot => Ok(Self::Sysroot),
            Self::Debian => {
                ensure_debian(workspace)?;
                Ok(Self::Debian)
            }
        }
    }

    /// Cargo of this toolchain at the root of the workspace, building for [`TARGET`] into a folder
    /// of its own, so that it never undoes what the native cargo built.
    pub(crate) fn build(self, workspace: &Workspace) -> Invocation {
        let cargo = match self {
            Self::Sysroot => workspace.cargo(),
            Self::Debian => debian("cargo")
                .directory(&workspace.root)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19"),
        };
        cargo
            .env("CARGO_TARGET_DIR", self.target(workspace))
            .args(["build", "--target", TARGET])
    }

    /// Where [`WasmToolchain::build`] puts the module of the example `name`.
    pub(crate) fn example(self, workspace: &Workspace, name: &str) -> PathBuf {
        let mut path = self.target(workspace);
        path.extend([TARGET, "debug", "examples", name]);
        path.with_extension("wasm")
    }

    fn target(self, workspace: &Workspace) -> PathBuf {
        workspace.target.join(match self {
            Self::Sysroot => "wasm-sysroot",
            Self::Debian => "wasm-debian",
        })
    }
}

fn sysroot_has_target() -> bool {
    Invocation::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .capture()
        .is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn choose(choice: &str, in_sysroot: bool, has_apt: bool) -> Result<WasmToolchain> {
    match (choice, in_sysroot) {
        ("debian", _) => Ok(WasmToolchain::Debian),
        ("" | "sysroot", true) => Ok(WasmToolchain::Sysroot),
        ("", false) if has_apt => Ok(WasmToolchain::Debian),
        ("" | "sysroot", false) => Err(Failure::new(format!(
            "the toolchain cannot build for {TARGET}: run `rustup target add {TARGET}`"
        ))),
        (other, _) => Err(Failure::new(format!(
            "{CHOICE} is `{other}`; it can be `sysroot`, `debian` or unset"
        ))),
    }
}

/// A program of Debian's toolchain: rustc, rustdoc and linker are looked up beside it, and nothing
/// of another toolchain shines through.
fn debian(program: &str) -> Invocation {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = vec!["/usr/bin".into()];
    folders.extend(env::split_paths(&path));
    let path = env::join_paths(folders).unwrap_or(path);
    [
        "CARGO",
        "RUSTC",
        "RUSTDOC",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
    ]
    .into_iter()
    .fold(
        Invocation::new(format!("/usr/bin/{program}")),
        Invocation::without_env,
    )
    .env("PATH", path)
}

fn ensure_debian(workspace: &Workspace) -> Result<()> {
    if debian_is_ready(workspace) {
        return Ok(());
    }
    apt::install(DEBIAN_PACKAGES)?;
    if debian_is_ready(workspace) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "Debian's packages {} are installed, but give no Rust {} or later that can build for \
         {TARGET}; a release with newer packages is needed, or `rustup target add {TARGET}`",
        DEBIAN_PACKAGES.join(" "),
        workspace.rust_version
    )))
}

fn debian_is_ready(workspace: &Workspace) -> bool {
    let runs = |program: &str, argument: &str| debian(program).arg(argument).capture();
    let new_enough = runs("rustc", "--version").is_ok_and(|said| {
        said.split(' ')
            .nth(1)
            .is_some_and(|version| at_least(version, &workspace.rust_version))
    });
    // A rustc of the plain package `rustc` has neither the source nor the target.
    let source = runs("rustc", "--print=sysroot").is_ok_and(|root| {
        Path::new(root.trim())
            .join("lib/rustlib/src/rust/library/std")
            .is_dir()
    });
    new_enough
        && source
        && runs("cargo", "--version").is_ok()
        && runs("wasm-ld-19", "--version").is_ok()
}

/// Whether `version` is `lowest` or later, by major and minor number.
fn at_least(version: &str, lowest: &str) -> bool {
    let numbers = |text: &str| -> Option<(u32, u32)> {
        let mut parts = text.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    match (numbers(version), numbers(lowest)) {
        (Some(version), Some(lowest)) => version >= lowest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sysroot_comes_first_unless_debian_is_asked_for() {
        let chosen = |choice, sysroot, apt| choose(choice, sysroot, apt).ok();
        assert_eq!(chosen("", true, true), Some(WasmToolchain::Sysroot));
        assert_eq!(chosen("", false, true), Some(WasmToolchain::Debian));
        assert_eq!(chosen("debian", true, true), Some(WasmToolchain::Debian));
        assert_eq!(chosen("sysroot", true, true), Some(WasmToolchain::Sysroot));
    }

    #[test]
    fn what_cannot_be_had_is_an_error_that_says_what_to_do() {
        for (choice, apt) in [("", false), ("sysroot", true)] {
            let failure = choose(choice, false, apt).expect_err("no target");
            assert!(
                failure.to_string().contains("rustup target add"),
                "{failure}"
            );
        }
        let failure = choose("debain", true, true).expect_err("misspelt");
        assert!(failure.to_string().contains("debain"), "{failure}");
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(at_least("1.96.0", "1.94"));
        assert!(at_least("1.94.1", "1.94"));
        assert!(at_least("1.100.0", "1.94"));
        assert!(!at_least("1.85.0", "1.94"));
        assert!(!at_least("unknown", "1.94"));
    }
}
