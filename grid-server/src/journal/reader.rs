//! Reading a segment from its start to its end.

use bytes::Bytes;
use grid_core::Result;
use grid_core::traits::Disk;

use super::record::{Parsed, RECORD_HEADER_BYTES, RecordHeader};
use super::segment::{SegmentHeader, file_name};

/// Read at once, in bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What stands at some place of a segment.
#[derive(Debug)]
pub(super) enum Found {
    /// A whole record.
    Record { header: RecordHeader, length: u32 },
    /// Something else.
    Damage(&'static str),
    /// Nothing: the segment ends here.
    End,
}

/// Reads the records of one segment.
#[derive(Debug)]
pub(super) struct SegmentReader<'a> {
    disk: &'a dyn Disk,
    number: u64,
    file: String,
    marker: u32,
    chunk: Bytes,
    chunk_start: u64,
}

impl<'a> SegmentReader<'a> {
    pub(super) fn new(disk: &'a dyn Disk, header: &SegmentHeader) -> Self {
        Self {
            disk,
            number: header.number,
            file: file_name(header.number),
            marker: header.marker,
            chunk: Bytes::new(),
            chunk_start: 0,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// What stands at `offset`.
    pub(super) async fn at(&mut self, offset: u64) -> Result<Found> {
        let head = self.bytes(offset, RECORD_HEADER_BYTES).await?;
        if head.is_empty() {
            return Ok(Found::End);
        }
        if head.len() < RECORD_HEADER_BYTES {
            return Ok(Found::Damage(
                "the segment ends within the header of a record",
            ));
        }
        let Some(parsed) = Parsed::new(&head).filter(|parsed| parsed.marker == self.marker) else {
            return Ok(Found::Damage("no record of this segment stands there"));
        };
        let record = self.bytes(offset, parsed.record_bytes()).await?;
        if record.len() < parsed.record_bytes() {
            return Ok(Found::Damage("the segment ends within a record"));
        }
        if !parsed.is_whole(&record) {
            return Ok(Found::Damage("a record does not have its checksum"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a batch is within its bound"
        )]
        let length = record.len() as u32;
        Ok(Found::Record {
            header: parsed.header,
            length,
        })
    }

    /// The place of the first whole record of a group after `group`, from `offset` on.
    pub(super) async fn find_later(&mut self, offset: u64, group: u32) -> Result<Option<u64>> {
        let marker = self.marker.to_le_bytes();
        let mut offset = offset;
        loop {
            let chunk = self.bytes(offset, CHUNK_BYTES).await?;
            if chunk.len() < RECORD_HEADER_BYTES {
                return Ok(None);
            }
            for (place, window) in chunk.windows(marker.len()).enumerate() {
                if window != marker {
                    continue;
                }
                let place = offset + place as u64;
                if let Found::Record { header, .. } = self.at(place).await?
                    && header.group > group
                {
                    return Ok(Some(place));
                }
            }
            // The next chunk overlaps, for a marker that lies across the end of this one.
            offset += (chunk.len() - marker.len() + 1) as u64;
        }
    }

    /// Whether nothing but zeros stands from `offset` on: room that was taken ahead.
    pub(super) async fn is_blank(&mut self, offset: u64) -> Result<bool> {
        let mut offset = offset;
        loop {
            let chunk = self.bytes(offset, CHUNK_BYTES).await?;
            if chunk.is_empty() {
                return Ok(true);
            }
            if chunk.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset += chunk.len() as u64;
        }
    }

    /// Whether no byte stands at `offset`.
    pub(super) async fn ends_at(&self, offset: u64) -> Result<bool> {
        Ok(self.disk.read(&self.file, offset, 1).await?.is_empty())
    }

    /// `length` bytes from `offset`; fewer only at the end of the file.
    async fn bytes(&mut self, offset: u64, length: usize) -> Result<Bytes> {
        if let Some(bytes) = self.buffered(offset, length) {
            return Ok(bytes);
        }
        let wanted = length.max(CHUNK_BYTES);
        self.chunk = self.disk.read(&self.file, offset, wanted).await?;
        self.chunk_start = offset;
        Ok(self.chunk.slice(..self.chunk.len().min(length)))
    }

    fn buffered(&self, offset: u64, length: usize) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.chunk_start)?).ok()?;
        let to = from.checked_add(length)?;
        (to <= self.chunk.len()).then(|| self.chunk.slice(from..to))
    }
}
