//! How one batch stands in a segment.
//!
//! Little-endian: marker `u32`, checksum `u32` (CRC-32 of all that follows), length of the batch
//! `u32`, group `u32`, partition `u16`, flags `u16` (1: the last of its group), epoch `u64`,
//! position `u64`, then the batch. The marker is random for each segment, so nothing a client can
//! write looks like a record.

use bytes::{Buf, BufMut, BytesMut};
use grid_core::PartitionId;
use grid_core::traits::{Epoch, Position};

/// Bytes in front of each batch.
pub(super) const RECORD_HEADER_BYTES: usize = 36;
/// The largest batch, in bytes.
pub(super) const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Where the bytes begin that the checksum covers.
const CHECKED_FROM: usize = 8;
const LAST_OF_GROUP: u16 = 1;

/// What stands in front of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) group: u32,
    pub(super) last: bool,
    pub(super) partition: PartitionId,
    pub(super) epoch: Epoch,
    pub(super) position: Position,
}

/// A header as read, with what is needed to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parsed {
    pub(super) marker: u32,
    pub(super) header: RecordHeader,
    pub(super) batch_bytes: usize,
    checksum: u32,
}

/// The bytes that a record takes.
pub(super) fn record_bytes(batch: &[u8]) -> usize {
    RECORD_HEADER_BYTES + batch.len()
}

impl RecordHeader {
    /// Appends the record to `buffer`; `batch` is within the bound.
    pub(super) fn encode(&self, marker: u32, batch: &[u8], buffer: &mut BytesMut) {
        let start = buffer.len();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a batch is within its bound"
        )]
        let batch_bytes = batch.len() as u32;
        buffer.put_u32_le(marker);
        buffer.put_u32_le(0);
        buffer.put_u32_le(batch_bytes);
        buffer.put_u32_le(self.group);
        buffer.put_u16_le(self.partition.0);
        buffer.put_u16_le(if self.last { LAST_OF_GROUP } else { 0 });
        buffer.put_u64_le(self.epoch.0);
        buffer.put_u64_le(self.position.0);
        buffer.put_slice(batch);
        let checksum = crc32fast::hash(&buffer[start + CHECKED_FROM..]);
        buffer[start + 4..start + CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    }
}

impl Parsed {
    /// Reads a header; `None` when it cannot be one.
    pub(super) fn new(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() < RECORD_HEADER_BYTES {
            return None;
        }
        let marker = bytes.get_u32_le();
        let checksum = bytes.get_u32_le();
        let batch_bytes = usize::try_from(bytes.get_u32_le()).ok()?;
        let group = bytes.get_u32_le();
        let partition = PartitionId(bytes.get_u16_le());
        let flags = bytes.get_u16_le();
        let header = RecordHeader {
            group,
            last: flags == LAST_OF_GROUP,
            partition,
            epoch: Epoch(bytes.get_u64_le()),
            position: Position(bytes.get_u64_le()),
        };
        (batch_bytes <= MAX_BATCH_BYTES && flags <= LAST_OF_GROUP).then_some(Self {
            marker,
            header,
            batch_bytes,
            checksum,
        })
    }

    /// The bytes of the whole record.
    pub(super) fn record_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.batch_bytes
    }

    /// Whether `record`, header and batch, is what was written.
    pub(super) fn is_whole(&self, record: &[u8]) -> bool {
        record.len() == self.record_bytes()
            && crc32fast::hash(&record[CHECKED_FROM..]) == self.checksum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: RecordHeader = RecordHeader {
        group: 7,
        last: true,
        partition: PartitionId(271),
        epoch: Epoch(3),
        position: Position(u64::MAX),
    };

    fn encoded() -> BytesMut {
        let mut buffer = BytesMut::new();
        HEADER.encode(0xABCD, b"batch", &mut buffer);
        buffer
    }

    #[test]
    fn a_record_comes_back() {
        let bytes = encoded();
        let parsed = Parsed::new(&bytes).unwrap();
        assert_eq!(parsed.header, HEADER);
        assert_eq!(parsed.marker, 0xABCD);
        assert_eq!(parsed.record_bytes(), bytes.len());
        assert!(parsed.is_whole(&bytes));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encoded();
        for bit in 32..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let whole = Parsed::new(&damaged).is_some_and(|parsed| parsed.is_whole(&damaged));
            assert!(!whole, "bit {bit}");
        }
    }

    #[test]
    fn the_layout_is_fixed() {
        let expected = [
            0xCD, 0xAB, 0, 0, 0xE5, 0x75, 0x65, 0x31, 5, 0, 0, 0, 7, 0, 0, 0, 15, 1, 1, 0, 3, 0, 0,
            0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, b'b', b'a', b't', b'c', b'h',
        ];
        assert_eq!(encoded()[..], expected);
    }
}
