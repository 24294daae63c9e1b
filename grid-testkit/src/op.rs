//! An op, for tests that are about a part of one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use grid_core::op::{Action, Op};
use grid_core::{Hlc, Key, MapName, OpId, RunId};

/// Op `number` of `run`, which puts the number 1 to the key `k` of the map `m`, knowing of no
/// version before; its stamp says `number` milliseconds. A test changes what it is about.
///
/// ```
/// use grid_core::RunId;
/// use grid_core::op::{Action, Op};
/// use grid_testkit::op;
///
/// let removal = Op {
///     action: Action::Remove,
///     ..op(RunId(7), 1)
/// };
/// assert_eq!(removal.key.as_str(), "k");
/// ```
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "both names are names")]
pub fn op(run: RunId, number: u64) -> Op {
    Op {
        id: OpId { run, number },
        hlc: Hlc::new(number, 0),
        map: MapName::new("m").unwrap(),
        key: Key::new("k").unwrap(),
        action: Action::Put {
            value: Bytes::from_static(b"\x01"),
            ttl_ms: None,
        },
        base: Hlc::ZERO,
        if_version: None,
        schema: 0,
        ack: None,
    }
}
