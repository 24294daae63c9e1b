//! What is wrong with what users plug in is told, quickly and in words.

use async_trait::async_trait;
use grid_testkit::scenario::{
    Check, Device, Event, FinalState, Invariant, Simulation, Turn, View, Workload,
};

/// Which operation is the bad one.
const BAD: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    SetupHangs,
    OperationHangs,
    OperationPanics,
    UnknownMap,
}

#[derive(Debug)]
struct Mistaken(Mistake);

#[async_trait]
impl Workload for Mistaken {
    fn maps(&self) -> Vec<String> {
        vec!["list".to_owned()]
    }

    async fn setup(&self, device: &Device) -> Check {
        if self.0 == Mistake::SetupHangs {
            std::future::pending::<()>().await;
        }
        device.put("list", "kept", &1).await
    }

    async fn run(&self, device: &Device, turn: &Turn) -> Check {
        match self.0 {
            Mistake::OperationHangs if turn.number() == BAD => std::future::pending().await,
            Mistake::OperationPanics if turn.number() == BAD => panic!("number {BAD}"),
            Mistake::UnknownMap => device.put("lsit", "a", &1).await,
            _ => device.put("list", "a", &turn.below(10)).await,
        }
    }

    fn check(&self, state: &FinalState) -> Check {
        let kept = state.get(&("list".to_owned(), "kept".to_owned()));
        kept.map(|_| ()).ok_or_else(|| "it was not kept".to_owned())
    }
}

fn small() -> Simulation {
    Simulation::new("mistakes").devices(2).ops_per_device(5)
}

/// What a run fails of, and fails of again.
fn failure_of(simulation: &Simulation) -> String {
    let failure = simulation.run(1).failure;
    assert_eq!(simulation.run(1).failure, failure);
    failure.unwrap_or_default()
}

fn mistaken(mistake: Mistake) -> Simulation {
    small().workload(Mistaken(mistake))
}

#[test]
fn who_waits_for_ever_is_told() {
    let setup = failure_of(&mistaken(Mistake::SetupHangs));
    assert!(
        setup.starts_with("the workload's setup did not end"),
        "{setup}"
    );
    // Though it may be the last of its user.
    let only = mistaken(Mistake::OperationHangs);
    let mut plan = only.plan(1);
    plan.faults.clear();
    plan.ops = [(1, vec![BAD])].into();
    let failure = only.run_plan(1, &plan).failure.unwrap_or_default();
    assert!(
        failure.starts_with("operation 3 of device 1 has not ended"),
        "{failure}"
    );
}

#[test]
fn who_panics_is_told_with_the_place() {
    let panics = mistaken(Mistake::OperationPanics);
    let failure = failure_of(&panics);
    let place = format!("panicked at {}:", file!());
    assert!(
        failure.starts_with(&place) && failure.ends_with("number 3"),
        "{failure}"
    );
    let store = failure_of(&small().store(|_| panic!("no store")));
    assert!(store.ends_with("no store"), "{store}");
    let invariant = failure_of(&small().invariant(|| Box::new(Panics)));
    assert!(invariant.ends_with("no invariant"), "{invariant}");
}

#[derive(Debug)]
struct Panics;

impl Invariant for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn observe(&mut self, _: &Event, _: &View<'_>) -> Result<(), String> {
        panic!("no invariant")
    }
}

#[test]
fn what_is_made_small_is_not_what_was_never_set_up() {
    let mistaken = mistaken(Mistake::UnknownMap);
    let failing = mistaken.run(1);
    let shrunk = mistaken.shrink(&failing, 200).outcome;
    let failure = shrunk.failure.unwrap_or_default();
    assert!(
        failure.ends_with(r#"`lsit` is none of the workload's maps ["list"]"#),
        "{failure}"
    );
    assert_eq!(shrunk.plan.op_count(), 1, "{}", shrunk.plan);
}
