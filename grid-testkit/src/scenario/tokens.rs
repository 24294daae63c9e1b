//! The tokens of the devices: they are good for a while, and apps get new ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use grid_core::traits::{Authenticated, Authenticator, Principal, Runtime};
use grid_core::{Error, ErrorKind, Namespace, Result};
use tokio::sync::Notify;

/// When a token is good, by a server's wall clock in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
struct Token {
    good_from_ms: u64,
    expires_at_ms: Option<u64>,
}

/// All tokens that each device's app ever got, the present one last.
#[derive(Debug, Clone)]
pub(super) struct Tokens(Arc<Issued>);

#[derive(Debug)]
struct Issued {
    tokens: Mutex<Vec<Vec<Token>>>,
    changed: Notify,
}

impl Tokens {
    pub(super) fn new(devices: usize) -> Self {
        Self(Arc::new(Issued {
            tokens: Mutex::new(vec![vec![Token::default()]; devices]),
            changed: Notify::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<Token>>> {
        let tokens = self.0.tokens.lock();
        tokens.unwrap_or_else(PoisonError::into_inner)
    }

    /// What the app of a device has now.
    pub(super) fn of(&self, device: usize) -> String {
        let issued = self.lock().get(device).map_or(0, Vec::len);
        format!("device-{device}:{}", issued.saturating_sub(1))
    }

    /// Completes when the app of some device gets another token after this call.
    pub(super) fn changed(&self) -> impl Future<Output = ()> {
        self.0.changed.notified()
    }

    /// Gives the app of a device another token.
    pub(super) fn issue(&self, device: usize, good_from_ms: u64, expires_at_ms: Option<u64>) {
        if let Some(tokens) = self.lock().get_mut(device) {
            tokens.push(Token {
                good_from_ms,
                expires_at_ms,
            });
        }
        self.0.changed.notify_waiters();
    }

    fn holder(&self, token: &str) -> Option<(String, Token)> {
        let (name, number) = token.split_once(':')?;
        let device: usize = name.strip_prefix("device-")?.parse().ok()?;
        let number: usize = number.parse().ok()?;
        let token = *self.lock().get(device)?.get(number)?;
        Some((name.to_owned(), token))
    }
}

/// The tokens as a server sees them, by its own clock.
#[derive(Debug)]
pub(super) struct TokenDoor {
    pub(super) tokens: Tokens,
    pub(super) runtime: Arc<dyn Runtime>,
}

#[async_trait]
impl Authenticator for TokenDoor {
    async fn authenticate(
        &self,
        token: Option<&str>,
        namespace: &Namespace,
    ) -> Result<Authenticated> {
        let refused = |message: &str| Error::new(ErrorKind::Unauthorized, "authenticate", message);
        let (name, token) = token
            .and_then(|token| self.tokens.holder(token))
            .ok_or_else(|| refused("the token is unknown"))?;
        if token.good_from_ms > self.runtime.now_ms() {
            return Err(refused("the token is not good yet"));
        }
        Ok(Authenticated {
            principal: Principal {
                name,
                namespace: namespace.clone(),
            },
            expires_at_ms: token.expires_at_ms,
        })
    }
}
