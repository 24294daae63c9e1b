//! Who may come in and what they may do, where no program brings rules of its own.

use std::fmt;

use async_trait::async_trait;
use grid_core::op::Op;
use grid_core::traits::{Authenticated, Authenticator, Decision, Policy, Principal};
use grid_core::{Error, ErrorKind, MapName, Namespace, Result};

/// Lets everybody in, as one principal.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenDoor;

#[async_trait]
impl Authenticator for OpenDoor {
    async fn authenticate(
        &self,
        _token: Option<&str>,
        namespace: &Namespace,
    ) -> Result<Authenticated> {
        let principal = Principal {
            name: "anonymous".to_owned(),
            namespace: namespace.clone(),
        };
        Ok(principal.into())
    }
}

/// Lets those in who know one token, all as one principal.
#[derive(Clone)]
pub struct SharedToken(String);

impl SharedToken {
    /// The door that `token` opens.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
}

impl fmt::Debug for SharedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedToken(hidden)")
    }
}

/// Compares without telling by the time it takes how much of the token was right.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let differing = given
        .iter()
        .zip(expected)
        .fold(0, |differing, (a, b)| differing | (a ^ b));
    given.len() == expected.len() && differing == 0
}

#[async_trait]
impl Authenticator for SharedToken {
    async fn authenticate(
        &self,
        token: Option<&str>,
        namespace: &Namespace,
    ) -> Result<Authenticated> {
        if token.is_some_and(|token| same(token.as_bytes(), self.0.as_bytes())) {
            let principal = Principal {
                name: "token".to_owned(),
                namespace: namespace.clone(),
            };
            return Ok(principal.into());
        }
        let message = match token {
            Some(_) => "the token is not the one that this server was started with",
            None => "this server asks for a token; pass one",
        };
        Err(Error::new(ErrorKind::Unauthorized, "authenticate", message))
    }
}

/// Allows everything but writing to the system's maps.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenPolicy;

impl Policy for OpenPolicy {
    fn may_write(&self, _principal: &Principal, op: &Op) -> Decision {
        if op.map.is_system() {
            return Decision::Deny("maps whose name starts with $ belong to the system".to_owned());
        }
        Decision::Allow
    }

    fn may_read(&self, _principal: &Principal, _map: &MapName) -> Decision {
        Decision::Allow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens_the_door_and_nothing_repeats_it() {
        let door = SharedToken::new("s3cret");
        assert!(!format!("{door:?}").contains("s3cret"));
        let enter = |token| {
            let namespace = Namespace::default();
            grid_testkit::block_on(async { door.authenticate(token, &namespace).await })
        };
        assert!(enter(Some("s3cret")).is_ok());
        for wrong in [
            None,
            Some(""),
            Some("s3cre"),
            Some("s3cret2"),
            Some("S3cret"),
        ] {
            let error = enter(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
            assert!(!error.to_string().contains("s3cre"), "{error}");
        }
    }
}
