//! A device as its user's operations see it.

use std::time::Duration;

use bytes::Bytes;
use grid_client::{Fate, Grid, Map, NotAcked, WriteHandle};
use grid_core::{Key, OpId, Stamp};
use serde::Serialize;

use super::event::{Event, Told};
use super::ledger::Entry;
use super::workload::Check;
use super::world::{World, device_party};
use crate::sim::{Executor, Stream};

/// One operation of one device's user: its number, and its chances.
#[derive(Debug)]
pub struct Turn {
    pub(super) executor: Executor,
    pub(super) stream: Stream,
    pub(super) number: u32,
}

impl Turn {
    /// The number of the operation among those of its device.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// A random number below `bound`, which is at least 1.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.executor.below(self.stream, bound)
    }

    /// One of `choices`; none if there are none.
    #[must_use]
    pub fn pick<'a, T>(&self, choices: &'a [T]) -> Option<&'a T> {
        let at = self.below((choices.len() as u64).max(1));
        usize::try_from(at).ok().and_then(|at| choices.get(at))
    }

    /// Whether an event of probability `percent` / 100 happens.
    #[must_use]
    pub fn chance(&self, percent: u64) -> bool {
        self.executor.chance(self.stream, percent)
    }
}

/// A device. What is written through it is accounted for: in the end it must have had its effect.
#[derive(Debug, Clone)]
pub struct Device {
    pub(super) world: World,
    pub(super) number: usize,
    pub(super) grid: Grid,
}

impl Device {
    /// Which device, counted from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The grid, for everything but writes that shall be accounted for.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Lets simulated time pass.
    pub async fn sleep(&self, duration: Duration) {
        self.world.sleep(duration).await;
    }

    /// Puts a value.
    ///
    /// # Errors
    /// When [`Workload::maps`](super::Workload::maps) does not name the map, the key cannot be, or
    /// the value has no CBOR: mistakes of the workload.
    pub async fn put<T: Serialize>(&self, map: &str, key: &str, value: &T) -> Check {
        self.write(map, key, Some(encode(value)?), None).await
    }

    /// Puts a value if the key is still at the version that this device sees.
    ///
    /// # Errors
    /// As [`Device::put`].
    pub async fn put_if_unchanged<T: Serialize>(&self, map: &str, key: &str, value: &T) -> Check {
        let seen = self.version(map, key)?;
        self.write(map, key, Some(encode(value)?), Some(seen)).await
    }

    /// Removes a key.
    ///
    /// # Errors
    /// As [`Device::put`].
    pub async fn remove(&self, map: &str, key: &str) -> Check {
        self.write(map, key, None, None).await
    }

    /// The value of a key as this device sees it, as CBOR.
    ///
    /// # Errors
    /// As [`Device::put`].
    pub fn get(&self, map: &str, key: &str) -> Result<Option<Bytes>, String> {
        let opened = self.map(map)?;
        let value = opened.get_bytes(key).map_err(|error| error.to_string())?;
        self.world.emit(Event::Read {
            device: self.number,
            map: opened.name().clone(),
            key: Key::new(key).map_err(|error| error.to_string())?,
            version: self.version(map, key)?,
        });
        Ok(value)
    }

    fn version(&self, map: &str, key: &str) -> Result<Stamp, String> {
        let map = self.map(map)?;
        map.version(key).map_err(|error| error.to_string())
    }

    fn map(&self, map: &str) -> Result<Map<Bytes>, String> {
        self.is_named(map)?;
        self.grid.map(map).map_err(|error| error.to_string())
    }

    /// Whether the workload names a map: what is written to others nobody compares.
    fn is_named(&self, map: &str) -> Check {
        let maps = self.world.simulation.workload.maps();
        if maps.iter().any(|name| name == map) {
            return Ok(());
        }
        Err(format!("`{map}` is none of the workload's maps {maps:?}"))
    }

    async fn write(
        &self,
        name: &str,
        key: &str,
        value: Option<Bytes>,
        if_version: Option<Stamp>,
    ) -> Check {
        self.is_named(name)?;
        let Ok(map) = self.grid.map::<ciborium::Value>(name) else {
            // The grid was closed under its user.
            return Ok(());
        };
        let number = self.begin(&map, key, value.clone(), if_version)?;
        let written = match (value, if_version) {
            (None, _) => map.remove(key).await,
            (Some(value), None) => map.put_bytes(key, value).await,
            (Some(value), Some(version)) => map.put_if(key, &decode(&value)?, version).await,
        };
        match written {
            Ok(handle) => {
                self.told(number, Some(handle.op()), Told::Durable);
                let device = self.clone();
                self.world.executor.spawn(
                    device_party(self.number),
                    "await verdict",
                    Box::pin(async move { device.follow(handle, number).await }),
                );
            }
            Err(error) => self.told(number, None, failed(&error)),
        }
        Ok(())
    }

    fn begin<T>(
        &self,
        map: &Map<T>,
        key: &str,
        value: Option<Bytes>,
        if_version: Option<Stamp>,
    ) -> Result<usize, String> {
        let entry = Entry {
            device: self.number,
            map: map.name().to_string(),
            key: key.to_owned(),
            value: value.clone(),
            op: None,
            told: Told::Unknown,
            from_ms: self.world.device_ms(self.number),
            fair_clock: !self.world.clock_was_off(self.number),
            fast_clock: self.world.clock_was_fast(self.number),
            conditional: if_version.is_some(),
        };
        let number = self.world.ledger.begin(entry);
        self.world.emit(Event::Write {
            device: self.number,
            number,
            map: map.name().clone(),
            key: Key::new(key).map_err(|error| error.to_string())?,
            value,
            if_version,
        });
        Ok(number)
    }

    fn told(&self, number: usize, op: Option<OpId>, told: Told) {
        self.world.ledger.told(number, op, told.clone());
        self.world.emit(Event::Told {
            device: self.number,
            number,
            op,
            told,
        });
    }

    async fn follow(&self, handle: WriteHandle, number: usize) {
        let op = handle.op();
        let told = match handle.acked().await {
            Ok(Fate::Acked) => Told::Acked,
            Ok(_) => Told::Superseded,
            Err(NotAcked::Rejected(rejection)) => Told::Rejected(rejection.reason.to_string()),
            // The grid was closed: what became of it is told to nobody.
            Err(NotAcked::Closed) => return,
        };
        self.told(number, Some(op), told);
    }
}

/// What a call that failed means.
fn failed(error: &grid_core::Error) -> Told {
    match error.kind() {
        grid_core::ErrorKind::Closed => Told::Unknown,
        _ => Told::Failed(error.to_string()),
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes.into())
}

fn decode(value: &Bytes) -> Result<ciborium::Value, String> {
    ciborium::from_reader(&**value).map_err(|error| error.to_string())
}
