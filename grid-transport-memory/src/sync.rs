//! Locks, atomics and bells, from one place: so that the package `interleavings` can compile the
//! files that use them with others, which try every order of their steps.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
pub(crate) use tokio::sync::Notify;
