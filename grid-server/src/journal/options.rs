//! What can be chosen about a local journal.

use grid_core::{Error, ErrorKind, Result};

/// Bounds of a segment's size, in bytes.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 16 * 1024..=1024 * 1024 * 1024;
/// Bounds of a commit's size, in bytes.
const GROUP_BYTES: std::ops::RangeInclusive<usize> = 4 * 1024..=16 * 1024 * 1024;

/// Sizes of a local journal; they may change from one opening to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// The size at which a segment is closed and the next one begun, in bytes: 16 KiB to 1 GiB,
    /// 64 MiB unless chosen. Space comes back in whole segments.
    pub segment_bytes: u64,
    /// The size at which a commit takes no further batches, in bytes: 4 KiB to 16 MiB, 1 MiB
    /// unless chosen.
    pub group_bytes: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            group_bytes: 1024 * 1024,
        }
    }
}

impl JournalOptions {
    /// Checks the bounds.
    pub(super) fn check(&self) -> Result<()> {
        if !SEGMENT_BYTES.contains(&self.segment_bytes) {
            return Err(out_of_bounds("segment_bytes", &SEGMENT_BYTES));
        }
        if !GROUP_BYTES.contains(&self.group_bytes) {
            return Err(out_of_bounds("group_bytes", &GROUP_BYTES));
        }
        Ok(())
    }
}

fn out_of_bounds<T: std::fmt::Display>(
    name: &'static str,
    bounds: &std::ops::RangeInclusive<T>,
) -> Error {
    let (least, most) = (bounds.start(), bounds.end());
    Error::new(
        ErrorKind::Invalid,
        "open journal",
        format!("{name} must be between {least} and {most} bytes"),
    )
}
