//! What runs in a browser on `wasm32-unknown-unknown`, and that the core computes there what it
//! computes here.

use super::Step;
use crate::counts::Counts;
use crate::failure::{Failure, Result};
use crate::tools::{self, WasmToolchain};
use crate::workspace::Workspace;

pub(super) const STEP: Step = Step {
    name: "wasm",
    promise: "core, client and memory backends build for the browser, and digests agree there with \
              those made here",
    run,
};

const CORE: &str = "grid-core";
/// What else a client in the browser is made of. The WebSocket's crate is empty there as yet, but
/// whoever depends on it for both has to build.
const CLIENT: &[&str] = &[
    "grid-client",
    "grid-storage-memory",
    "grid-transport-memory",
    "grid-transport-websocket",
];
/// The example of the core that exports `check_fixtures`.
const FIXTURE: &str = "digest_fixture";
/// Calls it and prints one number: see the script.
const SCRIPT: &str = "xtask/scripts/check_fixtures.mjs";
/// This bit of the number says that a vector did not agree.
const MISMATCH: u32 = 1 << 31;

fn run(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    let toolchain = WasmToolchain::ensure(workspace)?;
    let node = tools::node()?;
    let build = |packages: &[&str]| {
        let packages = packages.iter().flat_map(|package| ["--package", package]);
        toolchain.build(workspace).arg("--locked").args(packages)
    };
    build(&[CORE]).arg("--lib").run()?;
    build(CLIENT).arg("--lib").run()?;
    build(&[CORE]).args(["--example", FIXTURE]).run()?;
    let said = node
        .directory(&workspace.root)
        .arg(SCRIPT)
        .arg(toolchain.example(workspace, FIXTURE))
        .capture()?;
    let agreed = read(&said)?;
    println!("{agreed} digest vectors agree in wasm");
    counts.passed += u64::from(agreed);
    Ok(())
}

/// How many vectors agree, from what the script printed.
fn read(said: &str) -> Result<u32> {
    let number: u32 = said
        .trim()
        .parse()
        .map_err(|_| Failure::new(format!("{SCRIPT} printed no number but `{said}`")))?;
    match number {
        0 => Err(Failure::new("the fixture holds no digest vector")),
        _ if number & MISMATCH != 0 => Err(Failure::new(format!(
            "digests made in wasm differ from the fixture; {} agree",
            number & !MISMATCH
        ))),
        _ => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_mismatch_is_a_failure_whatever_else_agrees() {
        assert_eq!(read("12\n").ok(), Some(12));
        let failure = read("2147483653").expect_err("one differs");
        assert!(failure.to_string().contains("5 agree"), "{failure}");
    }

    #[test]
    fn no_vectors_are_no_agreement() {
        assert!(read("0").is_err());
        assert!(read("").is_err());
        assert!(read("-1").is_err());
    }
}
