//! Streams of chance: everything that draws has numbers of its own.

use xxhash_rust::xxh3::xxh3_64;

use super::executor::PartyId;

/// Who draws by chance.
///
/// Each stream has its own numbers, which follow from the seed. So an operation that is left out of
/// a run does not change what the others draw: that is what makes a failure shrink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// What goes wrong, and when.
    Plan,
    /// The runtime of a party.
    Party(PartyId),
    /// The store, disk or database of a party.
    Device(PartyId),
    /// The frames from one party to another.
    Link(PartyId, PartyId),
    /// One operation of a party's user, by its number.
    Operation(PartyId, u32),
}

impl Stream {
    /// The seed of this stream in the world that follows from `seed`.
    pub(super) fn seed(self, seed: u64) -> u64 {
        let (kind, first, second) = match self {
            Self::Plan => (0, 0, 0),
            Self::Party(party) => (1, party.0, 0),
            Self::Device(party) => (2, party.0, 0),
            Self::Link(from, to) => (3, from.0, u32::from(to.0)),
            Self::Operation(party, number) => (4, party.0, number),
        };
        let mut bytes = [0; 15];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8] = kind;
        bytes[9..11].copy_from_slice(&first.to_le_bytes());
        bytes[11..].copy_from_slice(&second.to_le_bytes());
        xxh3_64(&bytes)
    }
}
