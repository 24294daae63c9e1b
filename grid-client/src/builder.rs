//! Opening a grid.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use grid_core::traits::{Codec, Runtime, Storage, Transport};
use grid_core::{Driver, Error, ErrorKind, Namespace, Registry, Result};

use crate::connection_state::ConnectionState;
use crate::engine::Engine;
use crate::grid::Grid;
use crate::link::{self, Link};
use crate::platform::{Bare, Platform};
use crate::settings::Backoff;
use crate::{saver, store};

/// The store that is used when none is named: it forgets everything when the grid is closed.
const DEFAULT_STORAGE: &str = "memory:";

/// What a grid is made of: a store, and mostly a server.
///
/// With the crate `hybrid-grid`, URLs select the backends (`Grid::builder()`); here they can also
/// be handed in:
///
/// ```
/// # use std::sync::Arc;
/// use grid_client::GridBuilder;
/// use grid_runtime_tokio::TokioRuntime;
/// use grid_storage_memory::MemoryStorage;
///
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # tokio.block_on(async {
/// let grid = GridBuilder::new()
///     .runtime(Arc::new(TokioRuntime::current()?))
///     .storage_backend(Arc::new(MemoryStorage::open("memory:")?))
///     .open()
///     .await?;
/// let todos = grid.map::<String>("todos")?;
/// todos.put("t1", &"write docs".to_owned()).await?;
/// assert_eq!(todos.get("t1")?.as_deref(), Some("write docs"));
/// grid.close().await?;
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a builder does nothing before `open`"]
pub struct GridBuilder<P = Bare> {
    registry: Option<Registry>,
    explicit: Vec<&'static Driver>,
    runtime: Option<Arc<dyn Runtime>>,
    storage_url: Option<String>,
    storage: Option<Arc<dyn Storage>>,
    server: Option<String>,
    transport: Option<Arc<dyn Transport>>,
    codecs: Vec<Arc<dyn Codec>>,
    token: Option<String>,
    namespace: Result<Namespace>,
    backoff: Backoff,
    platform: PhantomData<P>,
}

impl<P> fmt::Debug for GridBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No URL and no token: both may hold secrets.
        f.debug_struct("GridBuilder")
            .field("namespace", &self.namespace)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

impl GridBuilder<Bare> {
    /// A builder that knows only the drivers that are linked in and registered, and no runtime:
    /// hand one in.
    pub fn new() -> Self {
        Self::for_platform()
    }
}

impl Default for GridBuilder<Bare> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> GridBuilder<P> {
    pub(crate) fn for_platform() -> Self {
        Self {
            registry: None,
            explicit: Vec::new(),
            runtime: None,
            storage_url: None,
            storage: None,
            server: None,
            transport: None,
            codecs: Vec::new(),
            token: None,
            namespace: Ok(Namespace::default()),
            backoff: Backoff::default(),
            platform: PhantomData,
        }
    }

    /// Where the data is kept on this device: `sqlite://notes.db`, `memory:`, … Without it nothing
    /// is kept longer than the grid is open.
    pub fn storage(mut self, url: impl Into<String>) -> Self {
        self.storage_url = Some(url.into());
        self
    }

    /// Keeps the data in `storage`, whatever the URL.
    pub fn storage_backend(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// The server to be level with: `ws://127.0.0.1:7171`. Without it the grid is local only.
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.server = Some(url.into());
        self
    }

    /// Reaches the server over `transport`, whatever its URL.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Offers the server another codec beside the built-in one; those that were added first are
    /// preferred among them.
    pub fn codec(mut self, codec: Arc<dyn Codec>) -> Self {
        self.codecs.push(codec);
        self
    }

    /// What authenticates this client.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The tenant; `default` if it is not named. A store belongs to one.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Namespace::new(namespace.into());
        self
    }

    /// Where tasks run, and what time it is.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The drivers among which URLs select.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Puts a driver of your own before all others.
    pub fn driver(mut self, driver: &'static Driver) -> Self {
        self.explicit.push(driver);
        self
    }

    /// How long to wait between attempts to connect; 100 ms to 30 s if not set.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Opens the store, reads what it holds, and starts to connect. Returns when the data can be
    /// read and written, which does not wait for the server.
    ///
    /// # Errors
    /// What the store says: `Locked` when another process has it open, `Corrupt` when it is
    /// damaged; `Unsupported` when no driver serves a URL; `Invalid` without a runtime.
    pub async fn open(mut self) -> Result<Grid<P>> {
        let namespace = std::mem::replace(&mut self.namespace, Ok(Namespace::default()))?;
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => P::runtime()?,
        };
        let mut registry = self.registry.take().unwrap_or_else(P::registry);
        for driver in self.explicit.iter().rev() {
            registry.register(driver);
        }
        // What can fail without effects comes first.
        let link = self.link(&registry, &runtime)?;
        let url = self.storage_url.as_deref().unwrap_or(DEFAULT_STORAGE);
        let storage = match self.storage.take() {
            Some(storage) => storage,
            None => registry.open_storage(url, runtime.clone()).await?,
        };
        let replica = match store::load(&*storage, &*runtime, namespace).await {
            Ok(replica) => replica,
            Err(error) => {
                // The store is of no use; that it does not close well either is not the point.
                let _closed = storage.close().await;
                return Err(error);
            }
        };
        let state = match link {
            Some(_) => ConnectionState::Offline { reason: None },
            None => ConnectionState::Local,
        };
        let engine = Arc::new(Engine::new(replica, runtime, storage, self.token, state));
        let task = engine.begin_task();
        engine.runtime.spawn("save", Box::pin(saver::run(task)));
        if let Some(link) = link {
            let task = engine.begin_task();
            engine
                .runtime
                .spawn("link", Box::pin(link::run(task, link)));
        }
        Ok(Grid::new(engine))
    }

    fn link(&mut self, registry: &Registry, runtime: &Arc<dyn Runtime>) -> Result<Option<Link>> {
        let Some(url) = self.server.take() else {
            if self.transport.is_some() {
                let message = "a transport is of no use without the server's URL: name it";
                return Err(Error::new(ErrorKind::Invalid, "open grid", message));
            }
            return Ok(None);
        };
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => registry.transport(&url, runtime.clone())?,
        };
        Ok(Some(Link {
            url,
            transport,
            codecs: std::mem::take(&mut self.codecs),
            backoff: self.backoff,
        }))
    }
}
