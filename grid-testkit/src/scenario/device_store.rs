//! What of a device outlives a power cut.

use std::fmt;
use std::sync::Arc;

use grid_core::traits::Storage;
use grid_storage_memory::MemoryStorage;

use super::medium::Medium;
use crate::sim::SimRuntime;

/// The medium under a device's store: what is left of it when the power comes back.
///
/// Implement it to run a store of your own in the simulator.
pub trait DeviceStore: Send + fmt::Debug {
    /// Opens the store on what is left. Its tasks and its time are those of `runtime`.
    ///
    /// Each call of the store passes `medium` as a whole, before and after it. A store that is to
    /// lose its power in the middle of a call passes it for every part of one, too.
    ///
    /// # Errors
    /// What keeps it from opening, in words; ends the run as failed.
    fn open(&mut self, runtime: &SimRuntime, medium: &Medium) -> Result<Arc<dyn Storage>, String>;

    /// The power was cut. What `apply` had returned for must be there when the store is opened
    /// again, if the store says that it survives a power loss.
    fn power_cut(&mut self) {}
}

/// A store in memory that keeps every batch that was applied.
#[derive(Debug)]
pub struct MemoryDeviceStore(Arc<MemoryStorage>);

impl MemoryDeviceStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(MemoryStorage::new()))
    }
}

impl Default for MemoryDeviceStore {
    fn default() -> Self {
        Self::new()
    }
}

impl DeviceStore for MemoryDeviceStore {
    fn open(
        &mut self,
        _runtime: &SimRuntime,
        _medium: &Medium,
    ) -> Result<Arc<dyn Storage>, String> {
        self.0 = Arc::new(self.0.take_over());
        Ok(self.0.clone())
    }
}
