//! The kernel of the simulator: the client and server that ship, on simulated time, network,
//! disks and stores, in one thread and from one seed.

mod executor;
mod network;
mod runtime;
mod trace;

pub use executor::{Executor, PartyId, Sleep};
pub use network::{LinkFaults, Network};
pub use runtime::{SimRuntime, WORLD_BEGINS_MS};
