//! The file that names the first segment that counts, and the last one that must be there.
//!
//! Little-endian: magic, version `u32`, checksum `u32` (CRC-32 of all that follows), first `u64`,
//! last `u64`.

use bytes::{Buf, BufMut, BytesMut};
use grid_core::traits::Disk;
use grid_core::{ErrorKind, Result};

use super::error;
use super::segment::{has_known_version, write_file};

const MAGIC: &[u8; 8] = b"gridhead";
const VERSION: u32 = 1;
const BYTES: usize = 32;
const CHECKED_FROM: usize = 16;
/// Read to see which format it is; no later one has a longer head.
const MAX_BYTES: usize = 4096;

/// The file.
pub(super) const HEAD: &str = "journal.head";
const UNFINISHED: &str = "journal.head.new";

/// Which segments there are; after a crash there may be one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What the head says; `None` when there is no journal yet.
pub(super) async fn load(disk: &dyn Disk) -> Result<Option<Head>> {
    let bytes = match disk.read(HEAD, 0, MAX_BYTES + 1).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = || error::corrupt(HEAD, 0, "the head of the journal is damaged");
    if !(BYTES..=MAX_BYTES).contains(&bytes.len()) || &bytes[..MAGIC.len()] != MAGIC {
        return Err(damaged());
    }
    if !has_known_version(HEAD, &bytes)? || bytes.len() != BYTES {
        return Err(damaged());
    }
    let mut rest = &bytes[MAGIC.len() + 4..];
    if crc32fast::hash(&bytes[CHECKED_FROM..]) != rest.get_u32_le() {
        return Err(damaged());
    }
    Ok(Some(Head {
        first: rest.get_u64_le(),
        last: rest.get_u64_le(),
    }))
}

/// Makes this the head, durably.
pub(super) async fn store(disk: &dyn Disk, head: Head) -> Result<()> {
    let mut content = BytesMut::with_capacity(BYTES);
    content.put_slice(MAGIC);
    content.put_u32_le(VERSION);
    content.put_u32_le(0);
    content.put_u64_le(head.first);
    content.put_u64_le(head.last);
    let checksum = crc32fast::hash(&content[CHECKED_FROM..]);
    content[12..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    write_file(disk, UNFINISHED, HEAD, content.freeze()).await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use grid_testkit::ModelDisk;

    use super::super::segment::tests::of_a_later_format;
    use super::*;

    fn load_of(bytes: &[u8]) -> Result<Option<Head>> {
        let disk = ModelDisk::new(1);
        grid_testkit::block_on(async {
            disk.append(HEAD, Bytes::copy_from_slice(bytes)).await?;
            load(&disk).await
        })
    }

    #[test]
    fn a_flipped_bit_is_damage_and_no_other_version() {
        let head = Head { first: 3, last: 5 };
        let disk = ModelDisk::new(1);
        let stored = grid_testkit::block_on(async {
            store(&disk, head).await?;
            disk.read(HEAD, 0, MAX_BYTES).await
        });
        let mut bytes = stored.unwrap().to_vec();
        assert_eq!(load_of(&bytes).unwrap(), Some(head));
        for bit in 0..BYTES * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = load_of(&bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}");
            assert!(error.to_string().contains("restore"), "{error}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        // A later format may say more.
        bytes.extend([1, 2, 3]);
        assert_eq!(load_of(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        of_a_later_format(&mut bytes);
        assert_eq!(load_of(&bytes).unwrap_err().kind(), ErrorKind::Version);
        bytes[20] ^= 1;
        assert_eq!(load_of(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
