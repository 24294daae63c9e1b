//! What several unit tests need.

use futures::FutureExt;
use grid_core::traits::{Epoch, Owner};

pub(crate) fn owner(node: &str, epoch: u64) -> Owner {
    Owner {
        node: node.to_owned(),
        epoch: Epoch(epoch),
    }
}

/// What `future` comes to, which has nothing to wait for.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for")
}
