//! Every run in `sim/plans` failed once, of a bug that was mended, and must not fail again.

use std::path::Path;

use grid_sim::scenarios;
use grid_testkit::scenario::KeptRun;

#[test]
fn no_mended_bug_is_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let kept = KeptRun::read_folder(&folder).expect("there are kept runs");
    let mut failures = Vec::new();
    for (file, run) in kept {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        assert!(!run.broke.is_empty(), "{name} says what it once broke");
        let checked = scenarios::named(&run.scenario).and_then(|scenario| run.check(&scenario));
        if let Err(error) = checked {
            failures.push(format!("sim/plans/{name}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
