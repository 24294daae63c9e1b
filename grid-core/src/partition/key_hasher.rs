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
    pub(super) fn hash(self, key: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0, self.1).hash(key)
    }
}
