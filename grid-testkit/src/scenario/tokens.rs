//! The tokens of the devices: they expire, and apps get new ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use grid_core::traits::{Authenticator, Principal};
use grid_core::{Error, ErrorKind, Namespace, Result};

/// Which token of each device is good: the one with this number, counted from 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens(Arc<Mutex<Vec<u32>>>);

impl Tokens {
    pub(super) fn new(devices: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![0; devices])))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that is good now.
    pub(super) fn of(&self, device: usize) -> String {
        let number = self.lock().get(device).copied().unwrap_or_default();
        format!("device-{device}:{number}")
    }

    /// The present token of a device is good no longer.
    pub(super) fn expire(&self, device: usize) {
        if let Some(number) = self.lock().get_mut(device) {
            *number += 1;
        }
    }

    fn holder(&self, token: &str) -> Option<String> {
        let (name, number) = token.split_once(':')?;
        let device: usize = name.strip_prefix("device-")?.parse().ok()?;
        let good = *self.lock().get(device)?;
        (number.parse() == Ok(good)).then(|| name.to_owned())
    }
}

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, token: Option<&str>, namespace: &Namespace) -> Result<Principal> {
        let name = token.and_then(|token| self.holder(token)).ok_or_else(|| {
            let message = "the token is unknown or expired; get a new one";
            Error::new(ErrorKind::Unauthorized, "authenticate", message)
        })?;
        Ok(Principal {
            name,
            namespace: namespace.clone(),
        })
    }
}
