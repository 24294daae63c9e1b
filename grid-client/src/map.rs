//! A typed view of one map.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use grid_core::op::Action;
use grid_core::query::Query;
use grid_core::replica::LocalWrite;
use grid_core::{AckLevel, Error, ErrorKind, Key, MapName, Result, Stamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::Answer;
use crate::engine::{Engine, closed};
use crate::grid::Handle;
use crate::local_query::LocalQuery;
use crate::selection::Selection;
use crate::settings::MAX_WRITES_PER_SAVE;
use crate::subscription::Subscription;
use crate::value::{check, decode, encode};
use crate::write_handle::{BatchHandle, WriteHandle};

/// A map of entries that are held on this device, by key, with values of type `T`.
///
/// Reads look at memory and never wait. What they see is everything written here, over what the
/// server confirmed. Any type of serde works for `T`; `serde_json::Value` or `ciborium::Value`
/// for values of any shape.
///
/// ```
/// # use std::sync::Arc;
/// # use grid_client::{Fate, GridBuilder};
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # tokio.block_on(async {
/// # let grid = GridBuilder::new()
/// #     .runtime(Arc::new(grid_runtime_tokio::TokioRuntime::current()?))
/// #     .storage_backend(Arc::new(grid_storage_memory::MemoryStorage::open("memory:")?))
/// #     .open()
/// #     .await?;
/// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
/// struct Todo {
///     text: String,
///     done: bool,
/// }
///
/// let todos = grid.map::<Todo>("todos")?;
/// let todo = Todo { text: "water the plants".into(), done: false };
/// let write = todos.put("t1", &todo).await?; // durable on this device
/// # let _durable = write;
/// // … write.acked().await … waits for the server.
/// assert_eq!(todos.get("t1")?, Some(todo));
/// let keys = todos.iter().map(|entry| Ok(entry?.0));
/// let keys = keys.collect::<Result<Vec<_>, grid_core::Error>>()?;
/// assert_eq!(keys[0].as_str(), "t1");
/// todos.remove("t1").await?;
/// assert!(todos.is_empty());
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Map<T> {
    handle: Arc<Handle>,
    name: MapName,
    /// The ack level of writes through this view.
    ack: Option<AckLevel>,
    values: PhantomData<fn() -> T>,
}

impl<T> Clone for Map<T> {
    fn clone(&self) -> Self {
        Self {
            ack: self.ack,
            ..Self::new(self.handle.clone(), self.name.clone())
        }
    }
}

impl<T> fmt::Debug for Map<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<T> Map<T> {
    pub(crate) fn new(handle: Arc<Handle>, name: MapName) -> Self {
        Self {
            handle,
            name,
            ack: None,
            values: PhantomData,
        }
    }

    /// The same map, of which writes are acknowledged at `level`: how safe they are at the server
    /// when [`WriteHandle::acked`] returns. Unless asked for, the server's settings say.
    ///
    /// ```
    /// # use grid_client::{Grid, AckLevel};
    /// # async fn pay(grid: &Grid) -> Result<(), Box<dyn std::error::Error>> {
    /// let payments = grid.map::<u64>("payments")?.acks(AckLevel::Stored);
    /// payments.put("p1", &100).await?.acked().await?; // the system of record has it
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn acks(mut self, level: AckLevel) -> Self {
        self.ack = Some(level);
        self
    }

    fn engine(&self) -> &Engine {
        &self.handle.engine
    }

    /// The map's name.
    #[must_use]
    pub fn name(&self) -> &MapName {
        &self.name
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let now_ms = self.engine().runtime.now_ms();
        self.engine().lock().replica.len(&self.name, now_ms)
    }

    /// Whether there are no entries; see [`Map::is_loaded`] for whether that means anything yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the map was ever complete on this device, so that an absent entry means "there is
    /// none" and not "not loaded yet".
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.engine().lock().replica.is_loaded(&self.name)
    }

    /// Whether the map is level with the server now.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.engine().lock().replica.is_synced(&self.name)
    }

    /// The value of `key` as CBOR.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` when there can be no such key.
    pub fn get_bytes(&self, key: &str) -> Result<Option<Bytes>> {
        let key = Key::new(key)?;
        let now_ms = self.engine().runtime.now_ms();
        let core = self.engine().lock();
        Ok(core.replica.get(&self.name, &key, now_ms).cloned())
    }

    /// All entries with their values as CBOR, as they are at this moment, in the order of their
    /// keys' bytes.
    #[must_use]
    pub fn entries(&self) -> Vec<(Key, Bytes)> {
        let now_ms = self.engine().runtime.now_ms();
        let core = self.engine().lock();
        core.replica
            .entries(&self.name, now_ms)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Asks for the entries that a filter takes, in an order, up to a limit: see [`LocalQuery`].
    pub fn query(&self, query: impl Into<Query>) -> LocalQuery<T> {
        LocalQuery::new(self.clone(), query.into())
    }

    pub(crate) fn answer(&self, selection: &Selection) -> Answer<Bytes> {
        let now_ms = self.engine().runtime.now_ms();
        let core = self.engine().lock();
        let selected = selection.select(core.replica.entries(&self.name, now_ms));
        Answer {
            entries: selected.entries,
            complete: core.replica.is_loaded(&self.name),
            synced: core.replica.is_synced(&self.name),
            next: selected.next,
        }
    }

    /// The version that the server confirmed of `key`, for [`Map::put_if`]; [`Stamp::ZERO`] when
    /// there is no such entry.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` when there can be no such key.
    pub fn version(&self, key: &str) -> Result<Stamp> {
        let key = Key::new(key)?;
        Ok(self.engine().lock().replica.version(&self.name, &key))
    }

    /// Sets `key` to a value that is CBOR already. See [`Map::put`].
    ///
    /// # Errors
    /// As [`Map::put`]; `Invalid` when the bytes are not one CBOR item, or a map in them has two
    /// entries of one name.
    pub async fn put_bytes(&self, key: &str, value: Bytes) -> Result<WriteHandle> {
        let key = Key::new(key)?;
        check(&key, &value)?;
        let action = Action::Put {
            value,
            ttl_ms: None,
        };
        self.write(key, action, None).await
    }

    /// Removes `key`; an absent one is fine. Returns when that is durable on this device.
    ///
    /// # Errors
    /// As [`Map::put`].
    pub async fn remove(&self, key: &str) -> Result<WriteHandle> {
        self.write(Key::new(key)?, Action::Remove, None).await
    }

    fn local_write(&self, key: Key, action: Action, if_version: Option<Stamp>) -> LocalWrite {
        LocalWrite {
            map: self.name.clone(),
            key,
            action,
            if_version,
            schema: 0,
            ack: self.ack,
        }
    }

    async fn write(
        &self,
        key: Key,
        action: Action,
        if_version: Option<Stamp>,
    ) -> Result<WriteHandle> {
        let write = self.local_write(key, action, if_version);
        let (ops, outcome) = self.engine().write(vec![write]).await?;
        let op = ops.into_iter().next().ok_or_else(|| closed("write"))?;
        Ok(WriteHandle { op, outcome })
    }
}

impl<T: Serialize> Map<T> {
    /// Sets `key` to `value`. Returns when that is durable on this device and visible here; the
    /// handle tells what the server says. Who drops the future does not get to know whether the
    /// write happened: one that was under way is finished.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` when key or value cannot be; what the store says when it does not
    /// take the write, which then did not happen.
    pub async fn put(&self, key: &str, value: &T) -> Result<WriteHandle> {
        let key = Key::new(key)?;
        let value = encode(&key, value)?;
        let action = Action::Put {
            value,
            ttl_ms: None,
        };
        self.write(key, action, None).await
    }

    /// Whether [`Map::put`] would take this key and value: to find out before anything is written.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` when key or value cannot be.
    pub fn check(&self, key: &str, value: &T) -> Result<()> {
        let key = Key::new(key)?;
        let action = Action::Put {
            value: encode(&key, value)?,
            ttl_ms: None,
        };
        let write = self.local_write(key, action, None);
        self.engine().lock().replica.check(&write)
    }

    /// As [`Map::put`], for an entry that ceases to exist `ttl_ms` milliseconds after the server
    /// took it. Reads hide it from then on; subscribers are told once the server removes it, which
    /// they do not learn while there is no connection.
    ///
    /// # Errors
    /// As [`Map::put`].
    pub async fn put_with_ttl(&self, key: &str, value: &T, ttl_ms: u64) -> Result<WriteHandle> {
        let key = Key::new(key)?;
        let value = encode(&key, value)?;
        let action = Action::Put {
            value,
            ttl_ms: Some(ttl_ms),
        };
        self.write(key, action, None).await
    }

    /// As [`Map::put`], but the server rejects the write unless the entry is at `version` then
    /// ([`Stamp::ZERO`]: there is no such entry). See [`Map::version`].
    ///
    /// # Errors
    /// As [`Map::put`].
    pub async fn put_if(&self, key: &str, value: &T, version: Stamp) -> Result<WriteHandle> {
        let key = Key::new(key)?;
        let value = encode(&key, value)?;
        let action = Action::Put {
            value,
            ttl_ms: None,
        };
        self.write(key, action, Some(version)).await
    }

    /// Sets many keys at once: all become durable together, or none. One call is much faster than
    /// one for each, and takes at most 16,384 entries.
    ///
    /// # Errors
    /// As [`Map::put`]; `TooLarge` for too many entries.
    pub async fn put_all<K: AsRef<str>>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<BatchHandle> {
        let mut writes = Vec::new();
        for (key, value) in entries {
            let key = Key::new(key.as_ref())?;
            let value = encode(&key, &value)?;
            let action = Action::Put {
                value,
                ttl_ms: None,
            };
            writes.push(self.local_write(key, action, None));
        }
        if writes.len() > MAX_WRITES_PER_SAVE {
            let message = format!(
                "{} entries; at most {MAX_WRITES_PER_SAVE} go into one call: split them",
                writes.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, "put all", message));
        }
        let (ops, outcome) = self.engine().write(writes).await?;
        Ok(BatchHandle { ops, outcome })
    }
}

impl<T: DeserializeOwned> Map<T> {
    /// The value of `key`.
    ///
    /// # Errors
    /// `Invalid` when there can be no such key, or when the value is not a `T`.
    pub fn get(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.get_bytes(key)? else {
            return Ok(None);
        };
        decode(&Key::new(key)?, &value).map(Some)
    }

    /// All entries as they are at this moment, in the order of their keys' bytes. An item is an
    /// error when its value is not a `T`.
    pub fn iter(&self) -> impl Iterator<Item = Result<(Key, T)>> + use<T> {
        self.entries().into_iter().map(|(key, value)| {
            let value = decode(&key, &value)?;
            Ok((key, value))
        })
    }

    /// Follows the map: first all there is, then every change.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<T> {
        self.subscribe_prefix("")
    }

    /// Follows the entries whose keys start with `prefix`.
    #[must_use]
    pub fn subscribe_prefix(&self, prefix: &str) -> Subscription<T> {
        Subscription::new(self.handle.clone(), self.name.clone(), prefix)
    }
}
