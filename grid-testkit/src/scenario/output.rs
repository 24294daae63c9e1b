//! Where failing runs are written to.

use std::path::{Path, PathBuf};

use super::diagram;
use super::kept_run::KeptRun;
use super::outcome::Outcome;

/// The folder of what failing runs leave behind: `GRID_SIM_OUT`, or `simulation` in the target
/// folder of the program that runs, or in the folder for temporary files where it has none.
#[must_use]
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("GRID_SIM_OUT") {
        return folder.into();
    }
    let program = std::env::current_exe().unwrap_or_default();
    // Cargo marks its target folder so that backups leave it out.
    let target = program
        .ancestors()
        .find(|one| one.join("CACHEDIR.TAG").exists());
    let parent = target.map_or_else(std::env::temp_dir, Path::to_path_buf);
    parent.join("simulation")
}

/// The files of one failing run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The run, to replay it and to keep it.
    pub run: PathBuf,
    /// Its sequence diagram, for a browser.
    pub diagram: PathBuf,
}

/// Writes a recorded run to `folder`, as files named after its simulation, its seed and
/// what happened.
///
/// # Errors
/// What cannot be written, in words.
pub fn write(outcome: &Outcome, folder: &Path) -> Result<Written, String> {
    let name = name_of(outcome);
    let put = |extension: &str, content: &str| {
        let path = folder.join(format!("{name}.{extension}"));
        let cannot = |error| format!("cannot write {}: {error}", path.display());
        std::fs::create_dir_all(folder).map_err(cannot)?;
        std::fs::write(&path, content).map_err(cannot)?;
        Ok::<_, String>(path)
    };
    Ok(Written {
        run: put("json", &KeptRun::of(outcome).to_json())?,
        diagram: put("html", &diagram::render(outcome))?,
    })
}

/// `shopping-list-629-6f0c1a52`: whatever happened in another way has another name, also where two
/// simulations are called the same.
fn name_of(outcome: &Outcome) -> String {
    let plain = |letter: char| {
        if letter.is_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = outcome.simulation.chars().map(plain).collect();
    let trace = outcome.trace_hash >> 32;
    format!("{name}-{}-{trace:08x}", outcome.seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Simulation;

    #[test]
    fn two_simulations_of_one_name_leave_files_of_their_own() {
        let few = Simulation::new("The same").devices(2).ops_per_device(2);
        let more = Simulation::new("The same").devices(2).ops_per_device(4);
        let folder = std::env::temp_dir().join(format!("grid-output-{}", std::process::id()));
        let write = |simulation: &Simulation| {
            let outcome = simulation.record(7, &simulation.plan(7));
            write(&outcome, &folder).unwrap()
        };
        let (one, again, other) = (write(&few), write(&few), write(&more));
        assert_eq!(one, again, "the same run is the same file");
        let name = one.run.file_name().unwrap_or_default().to_string_lossy();
        assert!(name.starts_with("the-same-7-"), "{name}");
        assert_eq!(KeptRun::read(&one.run).unwrap().plan, few.plan(7));
        assert_eq!(KeptRun::read(&other.run).unwrap().plan, more.plan(7));
        assert_ne!(one.diagram, other.diagram);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
