//! Why a request goes nowhere.

use grid_core::{Error, ErrorKind, PartitionId};

use crate::observations::{Observations, Source};

/// Another node owns the partition, or none does.
pub(super) fn not_owned(partition: PartitionId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "route",
        "this node does not own the partition now; connect again",
    )
    .with("partition", partition)
}

/// Another node owns the partition, or none does, and this one others that are asked for with it.
pub(super) fn partly_owned(partition: PartitionId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "route",
        "several nodes own what is asked for; a read of it is answered once one of them has it all",
    )
    .with("partition", partition)
}

/// This node owns the partition, and what it holds is not there yet.
pub(super) fn not_loaded(partition: PartitionId, observations: &Observations) -> Error {
    let message = if observations.has_trouble(Source::Start) {
        "the server's database is away, and only that has what is asked for; it goes on as soon as \
         the database is back"
    } else if observations.has_trouble(Source::Load(partition)) {
        "the server cannot load the partition; it tries again, and its health says why"
    } else {
        "the server is about to load the partition; try again"
    };
    Error::new(ErrorKind::Unavailable, "route", message).with("partition", partition)
}

/// Only what concerns partitions comes this far.
pub(super) fn concerns_no_partition() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "route",
        "a message that concerns no partition",
    )
}
