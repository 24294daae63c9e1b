//! What the devices' users do.

use std::fmt;

use async_trait::async_trait;

use super::device::{Device, Turn};
use super::ledger::FinalState;

/// Whether something holds; if not, what does not, in words.
pub type Check = Result<(), String>;

/// What the users of the devices do, and what must follow from it: an app, or the part of it that
/// writes.
///
/// Everything that is drawn comes from [`Turn`], so that a run can be repeated and cut down.
#[async_trait]
pub trait Workload: Send + Sync + fmt::Debug + 'static {
    /// The maps that devices open and that are compared in the end.
    fn maps(&self) -> Vec<String>;

    /// Prepares the first device before anything goes wrong.
    ///
    /// # Errors
    /// Ends the run as failed.
    async fn setup(&self, _device: &Device) -> Check {
        Ok(())
    }

    /// One operation of one device's user. An error of the grid itself is no failure here: stores
    /// fail and devices lose their power. What the device was told is kept by [`Device`].
    ///
    /// # Errors
    /// When something was seen that must not be; ends the run as failed.
    async fn run(&self, device: &Device, turn: &Turn) -> Check;

    /// What must hold in the end, when all parties agree on `state`.
    ///
    /// # Errors
    /// When it does not hold.
    fn check(&self, _state: &FinalState) -> Check {
        Ok(())
    }
}
