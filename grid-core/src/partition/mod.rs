//! The server's state machine: one partition of a data set, without I/O.
//!
//! A write goes through three steps: [`Partition::decide`] turns a batch of proposals into
//! [`Effects`] and verdicts and changes nothing; the caller makes the effects durable in a
//! journal; [`Partition::apply`] puts them into the state. Reading, catching up and repair are
//! pure functions of the state. Time, chance and files are the caller's.

mod apply;
mod case;
mod decide;
mod delta_log;
mod draft;
mod effects;
mod effects_codec;
mod history;
mod horizon;
mod housekeeping;
mod key_hasher;
mod lookup;
mod machine;
mod map_state;
mod pass;
mod proposal;
mod runs;
mod saved_state;
mod scan;
mod slot;
#[cfg(test)]
mod tests;
mod version;
mod view;

pub use apply::Applied;
pub use decide::Decided;
pub use delta_log::Place;
pub use effects::Effects;
pub use housekeeping::MAX_EXPIRIES_PER_BATCH;
pub use key_hasher::TableSeed;
pub use machine::{Partition, PartitionConfig};
pub use pass::{Piece, PieceEnd};
pub use proposal::{Confirmation, Farewell, Outcome, Proposal, ProposalBatch, Rules, Timing, Veto};
pub use runs::MAX_EXCEPTIONS_PER_RUN;
pub use scan::{Budget, CatchUp, Changes, KeyPage};
pub use view::{View, ViewChange};
