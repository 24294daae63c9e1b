//! The file that names the first segment that counts, and the last one that must be there.
//!
//! Little-endian: magic, version `u32`, checksum `u32` (CRC-32 of all that follows), first `u64`,
//! last `u64`.

use bytes::{Buf, BufMut, BytesMut};
use grid_core::traits::Disk;
use grid_core::{ErrorKind, Result};

use super::error;
use super::segment::{check_version, write_file};

const MAGIC: &[u8; 8] = b"gridhead";
const VERSION: u32 = 1;
const BYTES: usize = 32;
const CHECKED_FROM: usize = 16;

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
    let bytes = match disk.read(HEAD, 0, BYTES + 1).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = || error::corrupt(HEAD, 0, "the head of the journal is damaged");
    if bytes.len() != BYTES || &bytes[..MAGIC.len()] != MAGIC {
        return Err(damaged());
    }
    let mut rest = &bytes[MAGIC.len()..];
    check_version(HEAD, rest.get_u32_le())?;
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
