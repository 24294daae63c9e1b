//! Following a map.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use grid_core::{Key, MapName, Result};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use crate::grid::Handle;
use crate::subscribers::Tell;
use crate::value::decode;

/// How many changes are looked up at a time.
const KEYS_AT_A_TIME: usize = 256;

/// Something that happened to a map that is followed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<T> {
    /// All entries, in the order of their keys' bytes. It comes first, and again when the
    /// subscriber was so slow that single changes could not be kept for it.
    Snapshot {
        /// The entries.
        entries: Vec<(Key, T)>,
        /// Whether the map was ever complete on this device; if not, it is loading, and being
        /// empty means nothing.
        loaded: bool,
        /// Whether the map is level with the server.
        synced: bool,
    },
    /// An entry is another than it was, or gone.
    Changed {
        /// The key.
        key: Key,
        /// What it is now; changes that followed on each other may be told as one.
        value: Option<T>,
    },
    /// The map is level with the server: everything told before is what the server has.
    Synced,
    /// The map is no longer known to be level with the server.
    Unsynced,
}

/// Follows a map: first a snapshot, then every change, in bounded memory however slow the reader.
///
/// ```
/// # use std::sync::Arc;
/// # use grid_client::{Event, GridBuilder};
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # tokio.block_on(async {
/// # let grid = GridBuilder::new()
/// #     .runtime(Arc::new(grid_runtime_tokio::TokioRuntime::current()?))
/// #     .storage_backend(Arc::new(grid_storage_memory::MemoryStorage::open("memory:")?))
/// #     .open()
/// #     .await?;
/// let scores = grid.map::<u32>("scores")?;
/// let mut live = scores.subscribe();
/// let Some(Event::Snapshot { entries, .. }) = live.next().await.transpose()? else {
///     panic!("a snapshot comes first");
/// };
/// assert!(entries.is_empty());
/// scores.put("ada", &7).await?;
/// let Some(Event::Changed { key, value }) = live.next().await.transpose()? else {
///     panic!("then the change");
/// };
/// assert_eq!((key.as_str(), value), ("ada", Some(7)));
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Subscription<T> {
    handle: Arc<Handle>,
    map: MapName,
    prefix: String,
    id: u64,
    notify: Arc<Notify>,
    /// Changes that were looked up and not returned yet, the next one last.
    ready: Vec<(Key, Option<Bytes>)>,
    values: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("map", &self.map)
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        self.handle.engine.lock().subscribers.remove(self.id);
    }
}

/// What was found to tell, before values are decoded.
enum Found {
    Snapshot {
        entries: Vec<(Key, Bytes)>,
        loaded: bool,
        synced: bool,
    },
    Changes,
    Synced(bool),
    Nothing,
    Closed,
}

impl<T: DeserializeOwned> Subscription<T> {
    pub(crate) fn new(handle: Arc<Handle>, map: MapName, prefix: &str) -> Self {
        let (id, notify) = handle.engine.lock().subscribers.add(&map, prefix);
        Self {
            handle,
            map,
            prefix: prefix.to_owned(),
            id,
            notify,
            ready: Vec::new(),
            values: PhantomData,
        }
    }

    /// Waits for the next event; `None` once the grid is closed. An event is an error when a value
    /// is not a `T`; the subscription goes on after it, and a snapshot leaves such an entry out and
    /// is followed by the error. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event<T>>> {
        loop {
            if let Some((key, value)) = self.ready.pop() {
                let value = value.map(|value| decode(&key, &value)).transpose();
                return Some(value.map(|value| Event::Changed { key, value }));
            }
            match self.look() {
                Found::Snapshot {
                    entries,
                    loaded,
                    synced,
                } => {
                    let entries = self.readable(entries);
                    return Some(Ok(Event::Snapshot {
                        entries,
                        loaded,
                        synced,
                    }));
                }
                Found::Changes => {}
                Found::Synced(true) => return Some(Ok(Event::Synced)),
                Found::Synced(false) => return Some(Ok(Event::Unsynced)),
                Found::Nothing => self.notify.notified().await,
                Found::Closed => return None,
            }
        }
    }

    /// The entries whose values are a `T`; the others come next, one by one, as errors.
    fn readable(&mut self, entries: Vec<(Key, Bytes)>) -> Vec<(Key, T)> {
        let mut readable = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            match decode(&key, &value) {
                Ok(decoded) => readable.push((key, decoded)),
                Err(_) => self.ready.push((key, Some(value))),
            }
        }
        self.ready.reverse();
        readable
    }

    fn look(&mut self) -> Found {
        let engine = &self.handle.engine;
        let now_ms = engine.runtime.now_ms();
        let mut core = engine.lock();
        if core.is_closed() {
            return Found::Closed;
        }
        match core.subscribers.take(self.id, KEYS_AT_A_TIME) {
            None => Found::Nothing,
            Some(Tell::Synced(synced)) => Found::Synced(synced),
            Some(Tell::Keys(keys)) => {
                self.ready = keys
                    .into_iter()
                    .rev()
                    .map(|key| {
                        let value = core.replica.get(&self.map, &key, now_ms).cloned();
                        (key, value)
                    })
                    .collect();
                Found::Changes
            }
            Some(Tell::Everything) => Found::Snapshot {
                entries: core
                    .replica
                    .entries(&self.map, now_ms)
                    .filter(|(key, _)| key.as_str().starts_with(&self.prefix))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
                loaded: core.replica.is_loaded(&self.map),
                synced: core.replica.is_synced(&self.map),
            },
        }
    }
}
