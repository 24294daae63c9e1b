//! The kernel of the simulator: the client and server that ship, on simulated time, network,
//! disks and stores, in one thread and from one seed.

mod executor;
mod frame_watch;
mod link_faults;
mod network;
mod runtime;
mod stream;
mod trace;
mod wall_clock;

pub use executor::{Executor, PartyId, Sleep};
pub use frame_watch::{FrameFate, FrameSeen, FrameWatch};
pub use link_faults::LinkFaults;
pub use network::{NOBODY, Network};
pub use runtime::{SimRuntime, WORLD_BEGINS_MS};
pub use stream::Stream;
