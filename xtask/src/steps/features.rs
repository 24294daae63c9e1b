//! The features of the facade: it works without any backend, with each alone, and with all.

use super::Step;
use crate::counts::Counts;
use crate::failure::{Failure, Result};
use crate::workspace::{Package, Workspace};

pub(super) const STEP: Step = Step {
    name: "features",
    promise: "the facade builds and finds its drivers with no feature, with each alone, with all",
    run,
};

/// The crate whose features choose the backends.
const FACADE: &str = "hybrid-grid";
/// Its test of which drivers are there, which is run under every choice.
const DRIVER_TEST: &str = "drivers";

fn run(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    let Some(facade) = workspace.package(FACADE) else {
        return Err(Failure::new(format!("there is no package {FACADE}")));
    };
    if !facade.has_target("test", DRIVER_TEST) {
        return Err(Failure::new(format!(
            "{FACADE} has no tests/{DRIVER_TEST}.rs, which is to be run with each of its features"
        )));
    }
    let mut failed = Vec::new();
    for choice in choices(facade) {
        println!(
            "-- features: {}",
            if choice.is_empty() { "none" } else { &choice }
        );
        let features = ["--no-default-features", "--features", &choice];
        let lint = workspace
            .cargo()
            .args(["clippy", "--locked", "--package", FACADE, "--lib"])
            .args(features)
            .args(["--", "--deny", "warnings"])
            .run();
        let drivers = workspace
            .cargo()
            .args([
                "test",
                "--locked",
                "--package",
                FACADE,
                "--test",
                DRIVER_TEST,
            ])
            .args(features)
            .count(counts);
        if let Err(failure) = lint.and(drivers) {
            failed.push(failure.to_string());
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(failed.join("; ")))
    }
}

/// The values of `--features`: none, each one alone, all.
fn choices(facade: &Package) -> Vec<String> {
    let features: Vec<&str> = facade
        .features
        .iter()
        .map(String::as_str)
        .filter(|feature| *feature != "default")
        .collect();
    let mut choices = vec![String::new()];
    choices.extend(features.iter().copied().map(str::to_owned));
    choices.push(features.join(","));
    choices
}
