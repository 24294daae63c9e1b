//! One entry as a partition keeps it: key and value in one allocation, and what orders it.

use std::num::NonZeroU64;

use bytes::{Bytes, BytesMut};

use super::key_hasher::KeyHash;
use crate::address::Key;
use crate::digest::{DigestKey, EntryDigest};
use crate::op::Stamp;
use crate::record::{Record, Sequence};

/// A record in compact form. The frame that it came in is not kept alive by it.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The key, then the value.
    payload: Bytes,
    key_len: u16,
    live: bool,
    pub(super) hash: KeyHash,
    pub(super) stamp: Stamp,
    pub(super) sequence: Sequence,
    expires_at_ms: Option<NonZeroU64>,
    /// The digest of a live entry, kept because taking it again would fetch the value's memory.
    digest: u128,
}

impl Slot {
    /// Copies `record`, of whose key `hash` is the hash, and whose digest is `digest`.
    pub(super) fn new(record: &Record, hash: KeyHash, digest: Option<EntryDigest>) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a key has at most 512 bytes"
        )]
        let key_len = record.key.as_bytes().len() as u16;
        Self {
            payload: payload(record),
            key_len,
            live: record.value.is_some(),
            hash,
            stamp: record.stamp,
            sequence: record.sequence,
            expires_at_ms: record.expires_at_ms.and_then(NonZeroU64::new),
            digest: digest.map_or(0, |entry| entry.digest),
        }
    }

    /// Takes the version of `record`, whose digest is `digest`, in place of its own.
    pub(super) fn overwrite(&mut self, record: &Record, digest: Option<EntryDigest>) {
        self.payload = payload(record);
        self.live = record.value.is_some();
        self.stamp = record.stamp;
        self.sequence = record.sequence;
        self.expires_at_ms = record.expires_at_ms.and_then(NonZeroU64::new);
        self.digest = digest.map_or(0, |entry| entry.digest);
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.payload[..usize::from(self.key_len)]
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// When a live entry ceases to exist.
    pub(super) fn expires_at_ms(&self) -> Option<u64> {
        self.expires_at_ms
            .filter(|_| self.live)
            .map(NonZeroU64::get)
    }

    /// The digest; `None` for a tombstone.
    pub(super) fn digest(&self, key: DigestKey) -> Option<EntryDigest> {
        self.live.then(|| EntryDigest {
            key_hash: key.key_hash(self.key()),
            digest: self.digest,
        })
    }

    /// The record; key and value share the slot's memory.
    pub(super) fn record(&self) -> Record {
        let key_len = usize::from(self.key_len);
        Record {
            key: Key::from_checked(self.payload.slice(..key_len)),
            value: self.live.then(|| self.payload.slice(key_len..)),
            stamp: self.stamp,
            sequence: self.sequence,
            expires_at_ms: self.expires_at_ms.map(NonZeroU64::get),
        }
    }

    /// Bytes of key and value.
    pub(super) fn size(&self) -> usize {
        self.payload.len()
    }
}

/// A copy of the key, then the value.
fn payload(record: &Record) -> Bytes {
    let mut payload = BytesMut::with_capacity(record.size());
    payload.extend_from_slice(record.key.as_bytes());
    payload.extend_from_slice(record.value.as_deref().unwrap_or_default());
    payload.freeze()
}
