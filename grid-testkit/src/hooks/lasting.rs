//! The hooks of a persistence that outlives its server.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::Result;
use grid_core::traits::{Persistence, PersistenceCapabilities};

use super::persistence::{HookedPersistence, PersistenceHooks};

/// The hooks of [`lasting`].
#[derive(Debug, Clone, Copy)]
pub struct Lasting(());

/// Makes a database of a persistence in memory, as far as a test can tell: it says that what was
/// stored survives a power cut, so that journals are trimmed, and one server's close leaves it open
/// for the next one.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::PartitionId;
/// use grid_core::traits::Persistence;
/// use grid_storage_memory::MemoryPersistence;
/// use grid_testkit::hooks::lasting;
///
/// # grid_testkit::block_on(async {
/// let database = lasting(Arc::new(MemoryPersistence::new()));
/// assert!(database.capabilities().survives_power_loss);
/// database.close().await?;
/// assert_eq!(database.load_state(PartitionId(3)).await?, None);
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
pub fn lasting(inner: Arc<dyn Persistence>) -> Arc<HookedPersistence<Lasting>> {
    Arc::new(HookedPersistence::new(inner, Lasting(())))
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl PersistenceHooks for Lasting {
    fn capabilities(&self, inner: &dyn Persistence) -> PersistenceCapabilities {
        PersistenceCapabilities {
            survives_process: true,
            survives_power_loss: true,
            ..inner.capabilities()
        }
    }

    async fn close(&self, _inner: &dyn Persistence) -> Result<()> {
        Ok(())
    }
}
