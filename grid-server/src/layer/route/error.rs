//! Why a request goes nowhere.

use grid_core::{Error, ErrorKind, PartitionId};

/// Another node owns the partition, or none does.
pub(super) fn not_owned(partition: PartitionId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "route",
        "this node does not own the partition now; connect again",
    )
    .with("partition", partition)
}

/// Only what concerns partitions comes this far.
pub(super) fn concerns_no_partition() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "route",
        "a message that concerns no partition",
    )
}
