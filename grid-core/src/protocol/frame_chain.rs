//! The running digest by which two sides notice that a frame was lost, doubled or reordered.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::frame_check::FRAME_CHECK_BYTES;

/// The frames of one direction of one connection, in order, as one number.
///
/// A count would not do: one frame lost and another doubled leave it as it is.
///
/// ```
/// use grid_core::protocol::FrameChain;
///
/// let (mut sent, mut received) = (FrameChain::default(), FrameChain::default());
/// for frame in [&b"a"[..], b"b"] {
///     sent.add(frame);
/// }
/// for frame in [&b"b"[..], b"a"] {
///     received.add(frame);
/// }
/// assert_ne!(sent.value(), received.value());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameChain(u64);

impl FrameChain {
    /// Adds the next frame: its length and its check, which stands for all of it, so that a frame
    /// that goes to many is not read once for each.
    pub fn add(&mut self, frame: &[u8]) {
        let check = &frame[frame.len().saturating_sub(FRAME_CHECK_BYTES)..];
        let seed = self
            .0
            .wrapping_add(u64::try_from(frame.len()).unwrap_or(u64::MAX));
        self.0 = xxh3_64_with_seed(check, seed);
    }

    /// The digest of all frames so far.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::FrameChain;

    fn chain(frames: &[&[u8]]) -> u64 {
        let mut chain = FrameChain::default();
        frames.iter().for_each(|frame| chain.add(frame));
        chain.value()
    }

    #[test]
    fn every_way_to_lose_double_or_reorder_shows() {
        let whole = chain(&[b"a", b"b", b"c"]);
        for spoiled in [
            &[&b"a"[..], b"b"][..],
            &[b"a", b"c"],
            &[b"a", b"b", b"b", b"c"],
            &[b"a", b"a", b"c"],
            &[b"b", b"a", b"c"],
            &[b"ab", b"c"],
            &[b"a", b"b", b"c", b""],
        ] {
            assert_ne!(chain(spoiled), whole, "{spoiled:?}");
        }
    }
}
