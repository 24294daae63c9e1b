//! Users who write the same value again are told apart: none of them is taken for another.

use async_trait::async_trait;
use grid_testkit::scenario::{Check, Device, Simulation, Turn, Workload};

/// How many seeds are run.
const SEEDS: u64 = 20;

/// Everybody ticks the same boxes.
#[derive(Debug)]
struct Ticks;

#[async_trait]
impl Workload for Ticks {
    fn maps(&self) -> Vec<String> {
        vec!["boxes".to_owned()]
    }

    async fn run(&self, device: &Device, turn: &Turn) -> Check {
        let key = format!("box-{}", turn.below(4));
        if turn.chance(20) {
            device.remove("boxes", &key).await
        } else {
            device.put("boxes", &key, &true).await
        }
    }
}

#[test]
fn a_value_that_is_written_again_is_no_older_one() {
    let summary = Simulation::new("ticks").workload(Ticks).sweep(0..SEEDS, 0);
    let failures = summary.failures.iter().map(ToString::to_string);
    let failures: Vec<String> = failures.collect();
    assert_eq!(summary.failed, 0, "{}", failures.join("\n"));
}
