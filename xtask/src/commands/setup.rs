//! `cargo xtask setup`: brings every tool that the other commands need.

use crate::failure::Result;
use crate::tools;
use crate::workspace::{Workspace, cache_dir};

/// Install every tool that the other commands need (they also do so themselves).
#[derive(Debug, clap::Args)]
pub(crate) struct Setup {}

impl Setup {
    /// Carries the command out.
    pub(crate) fn run(&self) -> Result<()> {
        let workspace = Workspace::load()?;
        let wasm = tools::WasmToolchain::ensure(&workspace)?;
        println!("wasm toolchain: {wasm:?}");
        println!("node: {}", version_of(&tools::node()?)?);
        println!("PostgreSQL: {}", version_of(&tools::postgres()?)?);
        println!("MongoDB's protocol: {}", tools::nx27017()?);
        println!("licences: {}", version_of(&tools::cargo_deny()?)?);
        println!("book: {}", version_of(&tools::mdbook()?)?);
        // Everything but the fuzzing itself works without it.
        for (what, fuzzer) in [
            ("in a test run", tools::CargoFuzz::ensure_fixed(&workspace)),
            ("at random", tools::CargoFuzz::ensure(&workspace)),
        ] {
            match fuzzer {
                Ok(_) => println!("fuzzing {what}: ready"),
                Err(missing) => println!("fuzzing {what}: {missing}"),
            }
        }
        println!("data: {}", tools::airports()?.display());
        println!("tools are kept in {}", cache_dir()?.display());
        Ok(())
    }
}

fn version_of(tool: &crate::invocation::Invocation) -> Result<String> {
    let said = tool.clone().arg("--version").capture()?;
    Ok(said.trim().to_owned())
}
