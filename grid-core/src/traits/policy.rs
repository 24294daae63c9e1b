//! The trait that says who may do what.

use std::fmt;

use super::authenticator::Principal;
use crate::address::MapName;
use crate::maybe_send::{MaybeSend, MaybeSync};
use crate::op::Op;

/// The answer of a [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may happen.
    Allow,
    /// It may not; the reason is shown to the client.
    Deny(String),
}

/// Rules on writes and reads. Called on the hot path: it must not block.
pub trait Policy: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// Whether `principal` may perform `op`.
    fn may_write(&self, principal: &Principal, op: &Op) -> Decision;

    /// Whether `principal` may read `map`.
    fn may_read(&self, principal: &Principal, map: &MapName) -> Decision;
}
