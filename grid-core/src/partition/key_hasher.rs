//! The hash of a partition's tables, keyed so that a client cannot choose keys that collide.

use siphasher::sip::SipHasher13;

/// The two halves of a SipHash key, drawn at random by the process. It decides only where an entry
/// lies in memory, never what is computed.
#[derive(Clone, Copy, Default)]
pub struct TableSeed(pub u64, pub u64);

impl std::fmt::Debug for TableSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TableSeed(hidden)")
    }
}

impl TableSeed {
    /// The hash of a key.
    pub(super) fn hash(self, key: &[u8]) -> KeyHash {
        let hash = SipHasher13::new_with_keys(self.0, self.1).hash(key);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "32 bits are enough for a table whose slots have numbers of 32 bits"
        )]
        KeyHash(hash as u32)
    }
}

/// The hash of a key in four bytes, so that an entry can keep it: a table that grows asks for the
/// hash of every entry, and would fetch all keys from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash(u32);

impl KeyHash {
    /// As a table wants it: the low bits choose the place, the high ones are compared there.
    pub(super) fn wide(self) -> u64 {
        let half = u64::from(self.0);
        (half << 32) | half
    }
}
