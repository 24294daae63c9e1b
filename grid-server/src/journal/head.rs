//! The file that names the first segment that counts.
//!
//! Little-endian: magic, version `u32`, checksum `u32` (CRC-32 of all that follows), number `u64`.

use bytes::{Buf, BufMut, BytesMut};
use grid_core::traits::Disk;
use grid_core::{ErrorKind, Result};

use super::error;
use super::segment::{check_version, write_file};

const MAGIC: &[u8; 8] = b"gridhead";
const VERSION: u32 = 1;
const BYTES: usize = 24;
const CHECKED_FROM: usize = 16;

/// The file.
pub(super) const HEAD: &str = "journal.head";
const UNFINISHED: &str = "journal.head.new";

/// The number of the first segment; `None` when there is no journal yet.
pub(super) async fn load(disk: &dyn Disk) -> Result<Option<u64>> {
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
    Ok(Some(rest.get_u64_le()))
}

/// Makes segment `number` the first one, durably.
pub(super) async fn store(disk: &dyn Disk, number: u64) -> Result<()> {
    let mut content = BytesMut::with_capacity(BYTES);
    content.put_slice(MAGIC);
    content.put_u32_le(VERSION);
    content.put_u32_le(crc32fast::hash(&number.to_le_bytes()));
    content.put_u64_le(number);
    write_file(disk, UNFINISHED, HEAD, content.freeze()).await
}
