//! Conformance suites, fault wrappers and the simulator, for users as well as for us.

pub mod block_on;
pub mod conformance;
mod counting_allocator;
#[cfg(feature = "crash")]
pub mod crash;
pub mod history;
pub mod hooks;
pub mod http;
mod link;
pub mod model_disk;
mod op;
pub mod process;
pub mod proxy;
pub mod rows;
#[cfg(feature = "scenario")]
pub mod scenario;
pub mod servers;
pub mod sim;

pub use block_on::block_on;
pub use counting_allocator::CountingAllocator;
pub use link::Link;
pub use model_disk::ModelDisk;
pub use op::op;
