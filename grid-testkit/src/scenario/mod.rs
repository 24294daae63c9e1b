//! Whole runs of the simulator: the client and the server that ship, under faults, in one thread
//! and from one seed.
//!
//! A run has three phases. Devices' users work while the plan's faults happen; everything heals;
//! all parties must agree within a bounded time, and the final state must follow from what every
//! device was told. What is an app's own plugs in: [`Workload`]s, [`Invariant`]s, stores, policies,
//! merge rules, codecs, layers.
//!
//! ```
//! use grid_testkit::scenario::Simulation;
//!
//! let outcome = Simulation::new("example").ops_per_device(10).run(42);
//! assert!(outcome.failure.is_none(), "{outcome}");
//! assert!(outcome.counts.steps > 100);
//! ```
//!
//! [`Simulation::shrink`] makes the plan of a failure as small as it can while it still fails, and
//! [`report`] gives the line that replays it.

mod agree;
mod audit;
mod backup;
mod by_turns;
mod check;
mod contents;
mod database;
mod database_check;
mod database_trouble;
mod device;
mod device_store;
mod devices;
mod diagram;
mod direct;
mod disk;
mod event;
mod fault;
mod forgotten;
mod invariant;
mod invariants;
mod kept_run;
mod ledger;
mod medium;
mod memory;
mod merge_rule;
mod mixed_writes;
mod outcome;
mod output;
mod owners;
mod panics;
mod plan;
mod recording;
mod rulings;
mod server_side;
mod shared_journal;
mod shrink;
mod sim_persistence;
mod simpler;
mod simulation;
mod storage;
mod sweep;
mod timeline;
mod tokens;
mod users;
mod watched_journal;
mod within;
mod workload;
mod world;

pub use backup::Remains;
pub use check::{asked_for, check, report};
pub use contents::Contents;
pub use database::{Database, MemoryDatabase};
pub use device::{Device, Turn};
pub use device_store::{DeviceStore, MemoryDeviceStore};
pub use diagram::render as render_diagram;
pub use event::{Event, TimedEvent, Told};
pub use fault::{BackupPart, Fault, FaultKind};
pub use invariant::{Invariant, View};
pub use kept_run::KeptRun;
pub use ledger::{FinalState, Versioned};
pub use medium::Medium;
pub use mixed_writes::{FORBIDDEN_PREFIX, MixedWrites, NoForbiddenKeys};
pub use outcome::{Counts, Outcome};
pub use output::{Written, folder as output_folder, write as write_run};
pub use plan::{Plan, TimedFault};
pub use shrink::Shrunk;
pub use simulation::Simulation;
pub use sweep::{KEPT_FAILURES, Summary};
pub use timeline::render as render_timeline;
pub use workload::{Check, Workload};
pub use world::{DATABASE, DIRECTOR, device_party, name_of, server_party};
