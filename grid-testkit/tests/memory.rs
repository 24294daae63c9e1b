//! A program that counts what it allocates sees that memory is bounded and given back.

use std::sync::Arc;

use grid_core::traits::Storage;
use grid_testkit::CountingAllocator;
use grid_testkit::scenario::{
    DeviceStore, Event, Invariant, Medium, MemoryDeviceStore, Simulation, View,
};
use grid_testkit::sim::SimRuntime;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn simulation() -> Simulation {
    Simulation::new("memory").ops_per_device(10)
}

#[test]
fn runs_hold_little_and_leave_nothing() {
    for seed in 0..5 {
        assert_eq!(simulation().run(seed).failure, None);
    }
}

/// A store that keeps itself alive: a cycle that nobody breaks.
#[derive(Debug)]
struct Cycle {
    inner: MemoryDeviceStore,
    others: Arc<std::sync::Mutex<Vec<Arc<dyn std::any::Any + Send + Sync>>>>,
}

impl DeviceStore for Cycle {
    fn open(&mut self, runtime: &SimRuntime, medium: &Medium) -> Result<Arc<dyn Storage>, String> {
        let mut others = self.others.lock().map_err(|error| error.to_string())?;
        others.push(self.others.clone());
        others.push(Arc::new(vec![0_u8; 100_000]));
        self.inner.open(runtime, medium)
    }
}

#[test]
fn what_stays_behind_a_run_is_told() {
    let simulation = simulation().store(|_| {
        Box::new(Cycle {
            inner: MemoryDeviceStore::new(),
            others: Arc::default(),
        })
    });
    let failure = simulation.run(1).failure.unwrap_or_default();
    assert!(failure.starts_with("memory is given back"), "{failure}");
}

/// Keeps more with every event.
#[derive(Debug, Default)]
struct Hoard(Vec<Vec<u8>>);

impl Invariant for Hoard {
    fn name(&self) -> &'static str {
        "hoard"
    }

    fn observe(&mut self, _: &Event, _: &View<'_>) -> Result<(), String> {
        self.0.push(vec![0; 100_000]);
        Ok(())
    }
}

#[test]
fn what_grows_without_bound_is_told() {
    let simulation = simulation().invariant(|| Box::<Hoard>::default());
    let failure = simulation.run(1).failure.unwrap_or_default();
    assert!(failure.starts_with("memory is bounded"), "{failure}");
}
