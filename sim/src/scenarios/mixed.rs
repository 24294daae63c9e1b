//! Every kind of write under every kind of fault.

use grid_testkit::scenario::Simulation;

pub(super) fn simulation() -> Simulation {
    Simulation::new("mixed")
}
