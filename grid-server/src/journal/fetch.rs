//! Reading batches back by their place.

use bytes::Bytes;
use grid_core::traits::Disk;
use grid_core::{Error, ErrorKind, Result};

use super::error;
use super::index::Located;
use super::record::{Parsed, RECORD_HEADER_BYTES};
use super::segment::file_name;

/// Records of which no more than this lies between them are read with one call, in bytes.
const GAP_BYTES: u64 = 16 * 1024;
/// Most bytes of one such call.
const SPAN_BYTES: u64 = 1024 * 1024;

/// The batches at `places`, in that order.
pub(super) async fn fetch(disk: &dyn Disk, places: &[Located]) -> Result<Vec<Bytes>> {
    let mut batches = Vec::with_capacity(places.len());
    let mut left = places;
    while let Some(first) = left.first() {
        let (run, rest) = left.split_at(run_length(left));
        left = rest;
        let file = file_name(first.slot.segment);
        let start = first.slot.offset;
        let end = run.last().map_or(start, end_of);
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = match disk.read(&file, start, length).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(error::corrupt(&file, start, "the segment is missing"));
            }
            Err(error) => return Err(error),
        };
        for located in run {
            let batch = cut_out(&bytes, start, located).ok_or_else(|| damaged(&file, located))?;
            // A batch that lives on must not keep its neighbours in memory.
            batches.push(if run.len() == 1 {
                batch
            } else {
                Bytes::copy_from_slice(&batch)
            });
        }
    }
    Ok(batches)
}

/// How many of the first `places` are read with one call.
fn run_length(places: &[Located]) -> usize {
    let Some(first) = places.first() else {
        return 0;
    };
    let mut end = end_of(first);
    let more = places.iter().skip(1).take_while(|located| {
        let near = located.slot.segment == first.slot.segment
            && (end..=end + GAP_BYTES).contains(&located.slot.offset)
            && end_of(located) - first.slot.offset <= SPAN_BYTES;
        end = end_of(located);
        near
    });
    1 + more.count()
}

fn end_of(located: &Located) -> u64 {
    located.slot.offset + u64::from(located.slot.length)
}

/// The batch of `located` in `bytes`, which begin at `start`; `None` when it is not what was
/// written.
fn cut_out(bytes: &Bytes, start: u64, located: &Located) -> Option<Bytes> {
    let from = usize::try_from(located.slot.offset - start).ok()?;
    let to = from + usize::try_from(located.slot.length).ok()?;
    let record = bytes.get(from..to)?;
    let parsed = Parsed::new(record)?;
    let header = parsed.header;
    let same = header.partition == located.partition
        && header.position == located.position
        && header.epoch == located.slot.epoch;
    (same && parsed.is_whole(record)).then(|| bytes.slice(from + RECORD_HEADER_BYTES..to))
}

fn damaged(file: &str, located: &Located) -> Error {
    error::corrupt(
        file,
        located.slot.offset,
        format!(
            "batch {} of partition {} is damaged",
            located.position.0, located.partition
        ),
    )
}
