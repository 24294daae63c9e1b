//! The devices of a run: what of them outlives a crash, and the grid while it is up.

use grid_client::{Grid, Map};

use super::device_store::DeviceStore;
use super::medium::Medium;

/// What of a device outlives its crashes, and its grid while it is up.
#[derive(Debug)]
pub(super) struct DeviceSide {
    pub(super) store: Box<dyn DeviceStore>,
    pub(super) medium: Medium,
    pub(super) grid: Option<Grid>,
    /// The maps that its app has open, while it is up.
    pub(super) maps: Vec<Map<ciborium::Value>>,
    /// Which of the plan's operations its user has begun.
    pub(super) begun: usize,
    /// The number of the operation that its user is in the middle of, while it is up.
    pub(super) busy: Option<u32>,
    /// Whether its clock was ever far off.
    pub(super) clock_was_off: bool,
    /// Whether its clock was ever far ahead.
    pub(super) clock_was_fast: bool,
}
