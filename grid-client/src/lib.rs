//! The local-first client of the hybrid grid: maps that are held on this device, written without
//! waiting for the network, and level with a server whenever there is one.
//!
//! Everything that decides lives in [`grid_core::replica`]; this crate drives it: a store below, a
//! connection beside, an application above. It knows no backend, no runtime and no clock of its
//! own, so it runs natively, in the browser and in the simulator. The crate `hybrid-grid` puts it
//! together with the built-in backends.

mod answer;
mod builder;
mod connection_state;
mod engine;
mod fate;
mod grid;
mod link;
mod local_query;
mod map;
mod platform;
mod rejections;
mod saver;
mod selection;
mod settings;
mod store;
mod subscribers;
mod subscription;
mod tickets;
mod value;
mod write_handle;

pub use answer::Answer;
pub use builder::GridBuilder;
pub use connection_state::{ConnectionState, ConnectionWatch};
pub use fate::{Fate, NotAcked, Rejected};
pub use grid::Grid;
pub use grid_core::AckLevel;
pub use grid_core::query;
pub use grid_core::replica::{FateCounts, MapStatus, Status};
pub use local_query::LocalQuery;
pub use map::Map;
pub use platform::{Bare, Platform};
pub use rejections::Rejections;
pub use settings::Backoff;
pub use subscription::{Event, Subscription};
pub use write_handle::{BatchFate, BatchHandle, WriteHandle};
