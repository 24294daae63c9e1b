//! A place in memory that is opened, closed and opened again, by one owner at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grid_core::Result;

use crate::error;

/// The places with a name, for the life of the process.
pub(crate) type Named<T> = Mutex<BTreeMap<String, Arc<Place<T>>>>;

/// Data, and which opening of it is the live one.
#[derive(Debug, Default)]
pub(crate) struct Place<T> {
    inner: Mutex<Inner<T>>,
}

#[derive(Debug, Default)]
struct Inner<T> {
    data: T,
    live: Option<u64>,
    openings: u64,
}

impl<T> Inner<T> {
    fn open(&mut self) -> u64 {
        self.openings += 1;
        self.live = Some(self.openings);
        self.openings
    }
}

impl<T> Place<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Every change is checked before it is made, so a panic never leaves half of one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One opening of a place; ends when closed, dropped, or taken over.
pub(crate) struct Opening<T> {
    place: Arc<Place<T>>,
    number: u64,
    named: bool,
}

impl<T: Default> Opening<T> {
    /// Opens a place of its own.
    pub(crate) fn fresh() -> Self {
        Self::take(Arc::default(), false)
    }

    /// Opens the place that `url` means.
    pub(crate) fn open(url: &str, places: &Named<T>) -> Result<Self> {
        let Some(name) = url.strip_prefix("memory:") else {
            return Err(error::scheme(url));
        };
        if name.is_empty() {
            return Ok(Self::fresh());
        }
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(name.to_owned()).or_default();
        // The registry stays locked, so no other opening comes between look and take.
        if place.lock().live.is_some() {
            return Err(error::locked(name));
        }
        Ok(Self::take(Arc::clone(place), true))
    }
}

impl<T: Clone + Default> Opening<T> {
    /// A place of its own with what is in this one now.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::fresh();
        copy.place.lock().data = self.place.lock().data.clone();
        copy
    }
}

impl<T> Opening<T> {
    fn take(place: Arc<Place<T>>, named: bool) -> Self {
        let number = place.lock().open();
        Self {
            place,
            number,
            named,
        }
    }

    /// A new opening of the same place; this one ends.
    pub(crate) fn take_over(&self) -> Self {
        Self::take(Arc::clone(&self.place), self.named)
    }

    /// Whether the place has a name by which another could try to open it.
    pub(crate) fn is_named(&self) -> bool {
        self.named
    }

    /// Runs `work` on the data, alone.
    pub(crate) fn with<R>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut T) -> Result<R>,
    ) -> Result<R> {
        let mut inner = self.place.lock();
        if inner.live != Some(self.number) {
            return Err(error::closed(operation));
        }
        work(&mut inner.data)
    }

    pub(crate) fn close(&self) {
        let mut inner = self.place.lock();
        if inner.live == Some(self.number) {
            inner.live = None;
        }
    }
}

impl<T> Drop for Opening<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> fmt::Debug for Opening<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("number", &self.number)
            .field("named", &self.named)
            .finish_non_exhaustive()
    }
}
