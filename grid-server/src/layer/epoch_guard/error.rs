//! Why work is not done here.

use grid_core::{Error, ErrorKind, PartitionId};

/// The partition is another node's by now.
pub(super) fn stale(partition: PartitionId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "guard epoch",
        "another node owns this partition by now; connect again",
    )
    .with("partition", partition)
}
