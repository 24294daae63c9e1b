//! Whole runs of the simulator: the client and the server that ship, under faults drawn from one
//! seed, and what must hold in the end.
//!
//! Three phases: devices write while the plan's faults happen; everything heals; all parties must
//! agree within a bounded time, and the final state must follow from what every device was told.
//! A write whose device lost its power before the call returned is unknown, never assumed absent.

mod ledger;
mod plan;
mod run;
mod storage;
mod world;

pub use plan::{Fault, Plan};
pub use run::{Options, Outcome, run};
