//! Names and headers of segments.
//!
//! Little-endian: magic, version `u32`, checksum `u32` (CRC-32 of all that follows), length of the
//! header `u32`, marker `u32`, number `u64`, valid length of the segment before it `u64`, length
//! of what was written at its creation `u64`, count `u32`, then for each partition: partition
//! `u16`, truncated `u64`, tail `u64`, epoch `u64`.
//!
//! What was written at the creation ends with records that were copied from the segment before
//! it. Groups begin at the next block boundary, so that no later write touches the header's block.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use grid_core::traits::{Disk, Epoch, JournalExtent, Position, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};

use super::error;
use super::tail_block::block_end;

const MAGIC: &[u8; 8] = b"gridjrnl";
const VERSION: u32 = 1;
const FIXED_BYTES: usize = 52;
const EXTENT_BYTES: usize = 26;
/// Where the bytes begin that the checksum covers.
const CHECKED_FROM: usize = 16;
/// Read at first; enough for the header of some thousand partitions.
const PROBE_BYTES: usize = 128 * 1024;
/// The largest header: all partitions that a `u16` can name.
const MAX_HEADER_BYTES: usize = FIXED_BYTES + EXTENT_BYTES * 65_536;

/// Under this name a segment is written before it counts.
const UNFINISHED: &str = "segment.new";

/// The file of segment `number`.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:020}.journal")
}

/// What a segment says about itself and about those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u64,
    pub(super) marker: u32,
    /// Up to where the segment before it counts, in bytes.
    pub(super) previous_bytes: u64,
    /// The bytes that were written before the segment had its name.
    pub(super) creation_bytes: u64,
    /// Every partition's extent before the first record of this segment.
    pub(super) extents: Vec<(PartitionId, JournalExtent)>,
}

impl SegmentHeader {
    /// The first segment of a new journal.
    pub(super) fn first(runtime: &dyn Runtime) -> Self {
        Self::new(runtime, 1, 0, Vec::new())
    }

    /// The header of segment `number` before any record was copied into it.
    pub(super) fn new(
        runtime: &dyn Runtime,
        number: u64,
        previous_bytes: u64,
        extents: Vec<(PartitionId, JournalExtent)>,
    ) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "half of the bits are random too"
        )]
        let marker = runtime.random() as u32;
        let mut header = Self {
            number,
            marker,
            previous_bytes,
            creation_bytes: 0,
            extents,
        };
        header.creation_bytes = header.header_bytes() as u64;
        header
    }

    /// The length of the header, in bytes.
    pub(super) fn header_bytes(&self) -> usize {
        FIXED_BYTES + EXTENT_BYTES * self.extents.len()
    }

    /// Where groups begin.
    pub(super) fn body_start(&self) -> u64 {
        block_end(self.creation_bytes)
    }

    fn encode(&self) -> BytesMut {
        let mut buffer = BytesMut::with_capacity(self.header_bytes());
        buffer.put_slice(MAGIC);
        buffer.put_u32_le(VERSION);
        buffer.put_u32_le(0);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "there are at most 65,536 partitions"
        )]
        {
            buffer.put_u32_le(self.header_bytes() as u32);
            buffer.put_u32_le(self.marker);
            buffer.put_u64_le(self.number);
            buffer.put_u64_le(self.previous_bytes);
            buffer.put_u64_le(self.creation_bytes);
            buffer.put_u32_le(self.extents.len() as u32);
        }
        for (partition, extent) in &self.extents {
            buffer.put_u16_le(partition.0);
            buffer.put_u64_le(extent.truncated.0);
            buffer.put_u64_le(extent.tail.0);
            buffer.put_u64_le(extent.epoch.0);
        }
        let checksum = crc32fast::hash(&buffer[CHECKED_FROM..]);
        buffer[12..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        buffer
    }

    /// Reads the header of segment `number`; `None` when there is no such segment.
    pub(super) async fn load(disk: &dyn Disk, number: u64) -> Result<Option<Self>> {
        let file = file_name(number);
        let mut bytes = match disk.read(&file, 0, PROBE_BYTES).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = || error::corrupt(&file, 0, "the segment's header is damaged");
        if bytes.len() < FIXED_BYTES || &bytes[..MAGIC.len()] != MAGIC {
            return Err(damaged());
        }
        let length = usize::try_from((&bytes[CHECKED_FROM..]).get_u32_le())
            .ok()
            .filter(|length| (FIXED_BYTES..=MAX_HEADER_BYTES).contains(length))
            .ok_or_else(damaged)?;
        if length > bytes.len() {
            bytes = disk.read(&file, 0, length).await?;
        }
        let bytes = bytes.get(..length).ok_or_else(damaged)?;
        if !has_known_version(&file, bytes)? {
            return Err(damaged());
        }
        let header = decode(bytes).ok_or_else(damaged)?;
        if header.number != number {
            return Err(damaged());
        }
        Ok(Some(header))
    }

    /// Makes a durable segment of this header and `records`, under its name at once. Doing it
    /// again after a failure replaces what the failure may have left.
    pub(super) async fn create(&mut self, disk: &dyn Disk, records: &[u8]) -> Result<()> {
        self.creation_bytes = (self.header_bytes() + records.len()) as u64;
        let mut content = self.encode();
        content.put_slice(records);
        let padded = usize::try_from(self.body_start())
            .map_err(|_| Error::new(ErrorKind::TooLarge, "create segment", "it exceeds memory"))?;
        content.resize(padded, 0);
        write_file(disk, UNFINISHED, &file_name(self.number), content.freeze()).await
    }
}

/// Writes a file that is whole and durable when it has its name.
pub(super) async fn write_file(
    disk: &dyn Disk,
    unfinished: &str,
    name: &str,
    content: Bytes,
) -> Result<()> {
    disk.remove(unfinished).await?;
    let written = async {
        disk.append(unfinished, content).await?;
        disk.sync(unfinished).await?;
        disk.rename(unfinished, name).await
    };
    if let Err(failure) = written.await {
        // On a full disk, what was written of it would be in the way of everybody.
        if let Err(error) = disk.remove(unfinished).await {
            tracing::warn!(file = unfinished, %error, "cannot remove an unfinished file");
        }
        return Err(failure);
    }
    Ok(())
}

/// Removes what an interrupted [`SegmentHeader::create`] left.
pub(super) async fn remove_unfinished(disk: &dyn Disk) -> Result<()> {
    disk.remove(UNFINISHED).await
}

/// Whether the header in `bytes`, which hold nothing else, is of the version that this program
/// reads; if not, and no later version has been written either, the header is damaged.
///
/// Format 1 has the version outside of its checksum, so that one flipped bit makes another version
/// of it, beside a checksum that fits. Every later format keeps magic, version, checksum and, in a
/// segment, the length of the header where they are, and the bounds of the length; its checksum is
/// the CRC-32 of the version's four bytes followed by all that follows the checksum. That of format
/// 1 does not fit there when one bit of the version is flipped.
///
/// # Errors
/// `Version` when a program of a later format has written it.
pub(super) fn has_known_version(file: &str, bytes: &[u8]) -> Result<bool> {
    let mut fields = &bytes[MAGIC.len()..CHECKED_FROM];
    let (version, checksum) = (fields.get_u32_le(), fields.get_u32_le());
    if version == VERSION {
        return Ok(true);
    }
    if later_checksum(version, &bytes[CHECKED_FROM..]) != checksum {
        return Ok(false);
    }
    Err(Error::new(
        ErrorKind::Version,
        "open journal",
        format!("its format is {version}, this program reads {VERSION}; use the one that wrote it"),
    )
    .with("file", file))
}

/// The checksum of every format after this one.
fn later_checksum(version: u32, rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&version.to_le_bytes());
    hasher.update(rest);
    hasher.finalize()
}

/// The header in `bytes`, which hold nothing else; the magic and version were checked.
fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
    let checksum = (&bytes[12..]).get_u32_le();
    if crc32fast::hash(&bytes[CHECKED_FROM..]) != checksum {
        return None;
    }
    let mut rest = &bytes[CHECKED_FROM + 4..];
    let marker = rest.get_u32_le();
    let number = rest.get_u64_le();
    let previous_bytes = rest.get_u64_le();
    let creation_bytes = rest.get_u64_le();
    let count = usize::try_from(rest.get_u32_le()).ok()?;
    if rest.len() != count * EXTENT_BYTES {
        return None;
    }
    let mut extents = Vec::with_capacity(count);
    for _ in 0..count {
        let partition = PartitionId(rest.get_u16_le());
        let extent = JournalExtent {
            truncated: Position(rest.get_u64_le()),
            tail: Position(rest.get_u64_le()),
            epoch: Epoch(rest.get_u64_le()),
        };
        extents.push((partition, extent));
    }
    Some(SegmentHeader {
        number,
        marker,
        previous_bytes,
        creation_bytes,
        extents,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use grid_testkit::ModelDisk;

    use super::*;

    /// Makes of a header the one that a program of a later format would write.
    pub(in super::super) fn of_a_later_format(bytes: &mut [u8]) {
        let later = VERSION + 1;
        bytes[8..12].copy_from_slice(&later.to_le_bytes());
        let checksum = later_checksum(later, &bytes[CHECKED_FROM..]);
        bytes[12..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    }

    fn load(bytes: &[u8]) -> Result<Option<SegmentHeader>> {
        let disk = ModelDisk::new(1);
        grid_testkit::block_on(async {
            let content = Bytes::copy_from_slice(bytes);
            disk.append(&file_name(7), content).await?;
            SegmentHeader::load(&disk, 7).await
        })
    }

    #[test]
    fn a_flipped_bit_of_a_header_is_damage_and_no_other_version() {
        let extent = JournalExtent {
            truncated: Position(1),
            tail: Position(2),
            epoch: Epoch(3),
        };
        let header = SegmentHeader {
            number: 7,
            marker: 8,
            previous_bytes: 9,
            creation_bytes: 78,
            extents: vec![(PartitionId(4), extent)],
        };
        let mut bytes = header.encode();
        assert_eq!(load(&bytes).unwrap(), Some(header));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let kind = load(&bytes).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::Corrupt, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        of_a_later_format(&mut bytes);
        assert_eq!(load(&bytes).unwrap_err().kind(), ErrorKind::Version);
        bytes[20] ^= 1;
        assert_eq!(load(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
