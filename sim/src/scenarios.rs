//! The scenarios: one file each. To add one, write its file and name it in the list.

mod backups;
mod behind;
mod clocks;
mod crashes;
mod deletions;
mod mixed;
mod owners;
mod ties;

use grid_testkit::scenario::Simulation;

/// All scenarios. In every run of each there are at least three devices, a hundred operations, a
/// crash and a cut.
#[must_use]
pub fn all() -> Vec<Simulation> {
    vec![
        mixed::simulation(),
        crashes::simulation(),
        deletions::simulation(),
        ties::simulation(),
        clocks::simulation(),
        owners::simulation(),
        backups::simulation(),
        behind::simulation(),
    ]
}

/// The scenario of this name.
///
/// # Errors
/// The names that there are.
pub fn named(name: &str) -> Result<Simulation, String> {
    let known: Vec<String> = all().iter().map(|one| one.name().to_owned()).collect();
    all()
        .into_iter()
        .find(|simulation| simulation.name() == name)
        .ok_or_else(|| {
            format!(
                "there is no scenario `{name}`; there are: {}",
                known.join(", ")
            )
        })
}
