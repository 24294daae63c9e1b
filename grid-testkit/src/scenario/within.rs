//! Patience with the parts of a run that may hang in what users plug in.

use std::future::Future;
use std::time::Duration;

use futures::future::{Either, select};

use super::world::World;

/// The longest that one part of a run may take, in simulated time: more than any that ends.
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// Waits for a part of the run that may hang in what users plug in.
pub(super) async fn within(
    world: &World,
    what: &str,
    part: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let (part, late) = (
        std::pin::pin!(part),
        std::pin::pin!(world.sleep(MOST_PATIENCE)),
    );
    match select(part, late).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(format!(
            "{what} did not end within {} simulated minutes",
            MOST_PATIENCE.as_secs() / 60
        )),
    }
}
