//! The wrapper of a persistence.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, StateRecord,
};
use grid_core::{MaybeSend, MaybeSync, PartitionId, Result, Sequence};

/// What is done instead of a call of a persistence. A hook that is not written passes the call on
/// to `inner`; one that is may do so before, after, with other arguments, or not at all.
///
/// Implementations carry `#[async_trait]`, as those of [`Persistence`] do.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait PersistenceHooks: MaybeSend + MaybeSync + std::fmt::Debug + 'static {
    /// Instead of [`Persistence::capabilities`].
    fn capabilities(&self, inner: &dyn Persistence) -> PersistenceCapabilities {
        inner.capabilities()
    }

    /// Instead of [`Persistence::load`].
    ///
    /// # Errors
    /// As the call's.
    async fn load(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        inner.load(partition, after, limit).await
    }

    /// Instead of [`Persistence::load_state`].
    ///
    /// # Errors
    /// As the call's.
    async fn load_state(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
    ) -> Result<Option<StateRecord>> {
        inner.load_state(partition).await
    }

    /// Instead of [`Persistence::store`].
    ///
    /// # Errors
    /// As the call's.
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        inner.store(partition, records, state).await
    }

    /// Instead of [`Persistence::collect`].
    ///
    /// # Errors
    /// As the call's.
    async fn collect(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        horizon: Sequence,
    ) -> Result<()> {
        inner.collect(partition, horizon).await
    }

    /// Instead of [`Persistence::close`].
    ///
    /// # Errors
    /// As the call's.
    async fn close(&self, inner: &dyn Persistence) -> Result<()> {
        inner.close().await
    }
}

/// A persistence with hooks.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use async_trait::async_trait;
/// use grid_core::traits::{AddressedRecord, Persistence, StateRecord};
/// use grid_core::{Error, ErrorKind, History, PartitionId, Result, Sequence};
/// use grid_storage_memory::MemoryPersistence;
/// use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};
///
/// /// Takes nothing while it is told to be full.
/// #[derive(Debug, Default)]
/// struct Full(AtomicBool);
///
/// #[async_trait]
/// impl PersistenceHooks for Full {
///     async fn store(
///         &self,
///         inner: &dyn Persistence,
///         partition: PartitionId,
///         records: &[AddressedRecord],
///         state: &StateRecord,
///     ) -> Result<()> {
///         if self.0.load(Ordering::SeqCst) {
///             return Err(Error::new(ErrorKind::Full, "store", "there is no room"));
///         }
///         inner.store(partition, records, state).await
///     }
/// }
///
/// # grid_testkit::block_on(async {
/// let memory = Arc::new(MemoryPersistence::new());
/// let database = HookedPersistence::new(memory, Full::default());
/// let state = StateRecord {
///     history: History(1),
///     sequence: Sequence(1),
///     data: "opaque".into(),
/// };
/// database.store(PartitionId(3), &[], &state).await?;
/// database.hooks().0.store(true, Ordering::SeqCst);
/// let refused = database.store(PartitionId(4), &[], &state).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Full);
/// // Every other call goes through.
/// assert_eq!(database.load_state(PartitionId(3)).await?, Some(state));
/// assert_eq!(database.load_state(PartitionId(4)).await?, None);
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct HookedPersistence<H> {
    inner: Arc<dyn Persistence>,
    hooks: H,
}

impl<H> HookedPersistence<H> {
    /// Puts `hooks` before the calls of `inner`.
    pub fn new(inner: Arc<dyn Persistence>, hooks: H) -> Self {
        Self { inner, hooks }
    }

    /// The hooks.
    pub fn hooks(&self) -> &H {
        &self.hooks
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<H: PersistenceHooks> Persistence for HookedPersistence<H> {
    fn capabilities(&self) -> PersistenceCapabilities {
        self.hooks.capabilities(&*self.inner)
    }

    async fn load(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        let inner = &*self.inner;
        self.hooks.load(inner, partition, after, limit).await
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        self.hooks.load_state(&*self.inner, partition).await
    }

    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        let inner = &*self.inner;
        self.hooks.store(inner, partition, records, state).await
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        self.hooks.collect(&*self.inner, partition, horizon).await
    }

    async fn close(&self) -> Result<()> {
        self.hooks.close(&*self.inner).await
    }
}
