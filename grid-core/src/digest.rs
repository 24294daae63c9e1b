//! Digests of entries: what the two sides of a connection compare instead of the data.
//!
//! Only live entries have a digest; a tombstone is absence. The layout is fixed here and by the
//! vectors in `grid-core/vectors/digest.txt`, because client and server must agree to the bit.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128, xxh3_128_with_seed};

use crate::op::Stamp;
use crate::record::Record;

/// Bytes that an entry's digest is taken over: key hash, hlc, run, number (8 each), value hash.
const ENTRY_BYTES: usize = 4 * 8 + 16;

/// The key of a data set's digests: drawn at random when the data set is made, told to clients
/// after authentication.
///
/// ```
/// use grid_core::{DigestKey, Stamp};
///
/// let key = DigestKey(7);
/// let entry = key.entry(b"todo/1", &Stamp::ZERO, b"\x01");
/// assert_eq!(entry.key_hash, key.key_hash(b"todo/1"));
/// assert_ne!(entry, key.entry(b"todo/1", &Stamp::ZERO, b"\x02"));
/// assert_ne!(entry, DigestKey(8).entry(b"todo/1", &Stamp::ZERO, b"\x01"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DigestKey(pub u64);

impl DigestKey {
    /// The hash of an entry's key: XXH3-64 seeded with the digest key. Its top bits are the
    /// entry's place in a Merkle tree.
    #[must_use]
    #[inline]
    pub fn key_hash(self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.0)
    }

    /// The digest of a live entry.
    #[must_use]
    #[inline]
    pub fn entry(self, key: &[u8], stamp: &Stamp, value: &[u8]) -> EntryDigest {
        self.entry_with_hash(self.key_hash(key), stamp, value)
    }

    /// As [`DigestKey::entry`], for a caller that has the key's hash already.
    ///
    /// The digest is XXH3-128, seeded with the digest key, over 48 bytes: key hash, hlc, run and
    /// op number as little-endian 64-bit integers, then the unseeded XXH3-128 of the value as a
    /// little-endian 128-bit integer.
    #[must_use]
    #[inline]
    pub fn entry_with_hash(self, key_hash: u64, stamp: &Stamp, value: &[u8]) -> EntryDigest {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&key_hash.to_le_bytes());
        bytes[8..16].copy_from_slice(&stamp.hlc.as_u64().to_le_bytes());
        bytes[16..24].copy_from_slice(&stamp.op.run.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&stamp.op.number.to_le_bytes());
        bytes[32..].copy_from_slice(&xxh3_128(value).to_le_bytes());
        EntryDigest {
            key_hash,
            digest: xxh3_128_with_seed(&bytes, self.0),
        }
    }

    /// The digest of a record; `None` for a tombstone, which is in no tree.
    #[must_use]
    #[inline]
    pub fn record(self, record: &Record) -> Option<EntryDigest> {
        let value = record.value.as_ref()?;
        Some(self.entry(record.key.as_bytes(), &record.stamp, value))
    }
}

/// One live entry as a Merkle tree sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryDigest {
    /// The hash of the entry's key, see [`DigestKey::key_hash`].
    pub key_hash: u64,
    /// The digest of key, stamp and value; roots are wrapping sums of these.
    pub digest: u128,
}

impl EntryDigest {
    /// The low 64 bits of the digest: what the nodes of a tree sum up and what leaf listings
    /// carry.
    #[must_use]
    #[inline]
    pub fn short(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
        {
            self.digest as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Hlc, Key, OpId, RunId, Sequence};

    fn stamp(hlc: u64, run: u64, number: u64) -> Stamp {
        Stamp {
            hlc: Hlc::from_u64(hlc),
            op: OpId {
                run: RunId(run),
                number,
            },
        }
    }

    #[test]
    fn every_part_of_an_entry_is_covered() {
        let key = DigestKey(42);
        let base = key.entry(b"k", &stamp(1, 2, 3), b"v");
        let others = [
            key.entry(b"l", &stamp(1, 2, 3), b"v"),
            key.entry(b"k", &stamp(2, 2, 3), b"v"),
            key.entry(b"k", &stamp(1, 3, 3), b"v"),
            key.entry(b"k", &stamp(1, 2, 4), b"v"),
            key.entry(b"k", &stamp(1, 2, 3), b"w"),
            key.entry(b"k", &stamp(1, 2, 3), b""),
            key.entry(b"k", &stamp(2, 1, 3), b"v"),
            DigestKey(43).entry(b"k", &stamp(1, 2, 3), b"v"),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(base.digest, other.digest, "variant {index}");
            assert_ne!(base.short(), other.short(), "variant {index}");
        }
    }

    #[test]
    fn a_tombstone_has_no_digest() {
        let mut record = Record {
            key: Key::new("k").unwrap(),
            value: Some(Bytes::from_static(b"v")),
            stamp: stamp(1, 2, 3),
            sequence: Sequence(9),
            expires_at_ms: Some(5),
        };
        let key = DigestKey(1);
        let live = key.record(&record).unwrap();
        assert_eq!(live, key.entry(b"k", &stamp(1, 2, 3), b"v"));
        // Sequences differ between a client and a server for one and the same entry.
        record.sequence = Sequence(10);
        assert_eq!(key.record(&record), Some(live));
        record.value = None;
        assert_eq!(key.record(&record), None);
    }
}
