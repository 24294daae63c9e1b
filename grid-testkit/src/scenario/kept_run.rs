//! Runs that failed once, as files: each keeps a bug from coming back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::outcome::Outcome;
use super::plan::Plan;
use super::simulation::Simulation;

/// A run that failed once. As a file it is JSON; what a later version adds has a default, so old
/// files stay readable.
///
/// ```
/// use grid_testkit::scenario::{KeptRun, Simulation};
///
/// let simulation = Simulation::new("example").ops_per_device(3);
/// let outcome = simulation.record(42, &simulation.plan(42));
/// let kept = KeptRun::of(&outcome);
/// assert_eq!(KeptRun::from_json(&kept.to_json()), Ok(kept.clone()));
/// kept.check(&simulation).expect("it holds, and still does what it did");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRun {
    /// The simulation's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// What it broke, in a sentence.
    pub broke: String,
    /// What is left of the seed's plan.
    pub plan: Plan,
    /// What each device's user wrote until it broke. What operations do follows from the seed, so a
    /// change of the workload may turn the run into another one, which guards nothing.
    #[serde(default)]
    pub writes: BTreeMap<usize, Vec<String>>,
}

impl KeptRun {
    /// Of a recorded run.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        Self {
            scenario: outcome.simulation.clone(),
            seed: outcome.seed,
            broke: outcome.failure.clone().unwrap_or_default(),
            plan: outcome.plan.clone(),
            writes: writes(outcome),
        }
    }

    /// As JSON, over several lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers, strings, lists, and maps by number: there is nothing that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// From JSON.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("this is no kept run: {error}"))
    }

    /// From a file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| format!("cannot read {shown}: {error}"))?;
        Self::from_json(&text).map_err(|error| format!("{shown}: {error}"))
    }

    /// All files `*.json` of a folder, by name.
    ///
    /// # Errors
    /// The first that cannot be read, or that there is none.
    pub fn read_folder(folder: &Path) -> Result<Vec<(PathBuf, Self)>, String> {
        let cannot = |error| format!("cannot read the folder {}: {error}", folder.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(format!("{} holds no kept run", folder.display()));
        }
        files.sort();
        let read = files.into_iter().map(|file| {
            let kept = Self::read(&file)?;
            Ok((file, kept))
        });
        read.collect()
    }

    /// Whether it is a run of this simulation.
    pub(super) fn is_of(&self, simulation: &Simulation) -> Result<(), String> {
        if simulation.name == self.scenario {
            return Ok(());
        }
        Err(format!("it is of the scenario `{}`", self.scenario))
    }

    /// Replays it: it must hold now, and still do what it did.
    ///
    /// # Errors
    /// What does not hold, or how it differs from the run that once failed.
    pub fn check(&self, simulation: &Simulation) -> Result<Outcome, String> {
        self.is_of(simulation)?;
        self.plan.fits(simulation)?;
        let outcome = simulation.record(self.seed, &self.plan);
        if let Some(failure) = &outcome.failure {
            return Err(format!("it fails again: {failure}"));
        }
        let happened = |event: &Event| matches!(event, Event::Fault(_));
        let faults = outcome.events.iter().filter(|one| happened(&one.event));
        let (planned, faults) = (self.plan.faults.len(), faults.count());
        if faults != planned {
            return Err(format!("{faults} of {planned} faults happen"));
        }
        let did = writes(&outcome);
        for (device, before) in &self.writes {
            let now = did.get(device).map_or(&[][..], Vec::as_slice);
            if !now.starts_with(before) {
                return Err(format!(
                    "the user of device {device} wrote [{}] and now writes [{}]: the workload has \
                     changed, and the run guards nothing any more",
                    before.join(", "),
                    now.join(", ")
                ));
            }
        }
        Ok(outcome)
    }
}

fn writes(outcome: &Outcome) -> BTreeMap<usize, Vec<String>> {
    let mut writes: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for happened in &outcome.events {
        if let Event::Write {
            device,
            map,
            key,
            value,
            ..
        } = &happened.event
        {
            let verb = if value.is_some() { "put" } else { "remove" };
            let text = format!("{verb} {map}/{key}");
            writes.entry(*device).or_default().push(text);
        }
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Fault;

    /// As the first version wrote it.
    const OLD: &str = r#"{
        "scenario": "deletions", "seed": 7, "broke": "it is gone",
        "plan": {"order": 1, "ops": {"0": "3,7-9"}, "faults": [
            {"at_ms": 12, "fault": {"crash_server": {"server": 0, "silent": true, "down_ms": 5,
                "after_io": 2}}},
            {"at_ms": 13, "fault": "heal"},
            {"at_ms": 14, "fault": {"expire_token": {"device": 0}}}
        ]}
    }"#;

    fn old() -> KeptRun {
        KeptRun::from_json(OLD).unwrap()
    }

    #[test]
    fn a_file_of_the_first_version_is_readable() {
        let kept = old();
        assert_eq!(kept.plan.ops[&0], [3, 7, 8, 9]);
        assert_eq!(kept.plan.faults.len(), 3);
        assert!(kept.writes.is_empty());
    }

    fn complaint(change: impl FnOnce(&mut KeptRun)) -> String {
        let mut kept = old();
        change(&mut kept);
        let simulation = Simulation::new("deletions").devices(2).ops_per_device(10);
        kept.check(&simulation).unwrap_err()
    }

    #[test]
    fn who_is_not_there_is_told() {
        let other = complaint(|kept| kept.scenario = "another".to_owned());
        assert_eq!(other, "it is of the scenario `another`");
        let device = complaint(|kept| {
            kept.plan.ops.insert(2, vec![1]);
        });
        assert_eq!(device, "there is no device 2");
        let number = complaint(|kept| {
            kept.plan.ops.insert(1, vec![10]);
        });
        assert_eq!(number, "no device performs an operation 10");
        let server = complaint(|kept| {
            kept.plan.faults[0].fault = Fault::DiskFull {
                server: 1,
                for_ms: 5,
            };
        });
        assert_eq!(server, "there is no server 1");
    }

    #[test]
    fn a_run_that_does_something_else_is_told() {
        let changed = complaint(|kept| {
            kept.writes = BTreeMap::from([(0, vec!["put nothing/here".to_owned()])]);
        });
        assert!(changed.contains("the workload has changed"), "{changed}");
    }

    #[test]
    fn a_folder_without_files_is_an_error() {
        let empty = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenario/invariants");
        let told = KeptRun::read_folder(&empty).unwrap_err();
        assert!(told.ends_with("holds no kept run"), "{told}");
    }
}
