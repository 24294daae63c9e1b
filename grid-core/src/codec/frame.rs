//! How much goes into one frame: ops into pushes, records into deltas.

use crate::limits::{MAX_ITEMS_PER_MESSAGE, TARGET_FRAME_BYTES};
use crate::op::{Action, Op};
use crate::protocol::{Exception, Verdict};
use crate::record::Record;

/// Bytes kept free for the fields of a message beside its items.
const ENVELOPE_BYTES: usize = 256;
/// More than the heads and numbers of one op or record take.
const ITEM_OVERHEAD_BYTES: usize = 96;

/// An upper bound of the encoded length of `op`, in bytes, its map's name included.
#[must_use]
pub fn op_bound(op: &Op) -> usize {
    let value = match &op.action {
        Action::Put { value, .. } => value.len(),
        Action::Remove => 0,
    };
    ITEM_OVERHEAD_BYTES + op.key.as_bytes().len() + op.map.as_str().len() + value
}

/// An upper bound of the encoded length of `record`, in bytes.
#[must_use]
pub fn record_bound(record: &Record) -> usize {
    ITEM_OVERHEAD_BYTES + record.size()
}

/// An upper bound of the encoded length of `exception`, in bytes.
#[must_use]
pub fn exception_bound(exception: &Exception) -> usize {
    let message = match &exception.verdict {
        Verdict::Rejected { message, .. } => message.len(),
        Verdict::Accepted | Verdict::Restamped(_) | Verdict::Superseded(_) => 0,
    };
    ITEM_OVERHEAD_BYTES + message
}

/// How many of the leading items, of which `bounds` are the upper bounds in bytes, make one frame
/// of at most [`TARGET_FRAME_BYTES`]; an item that is larger than that has a frame of its own.
///
/// ```
/// use grid_core::codec::fitting;
///
/// assert_eq!(fitting([30_000, 30_000, 30_000]), 2);
/// assert_eq!(fitting([200_000, 10]), 1);
/// ```
pub fn fitting(bounds: impl IntoIterator<Item = usize>) -> usize {
    let mut left = TARGET_FRAME_BYTES - ENVELOPE_BYTES;
    let mut count = 0;
    for bound in bounds {
        if count > 0 && (bound > left || count == MAX_ITEMS_PER_MESSAGE) {
            break;
        }
        left = left.saturating_sub(bound);
        count += 1;
    }
    count
}
