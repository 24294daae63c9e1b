//! Choices from bytes: the bytes are a script, and what runs out of them ends.

use arbitrary::Unstructured;

/// The choices that an input makes. Once the bytes are used up, everything is the first choice.
#[derive(Debug)]
pub(crate) struct Script<'a>(Unstructured<'a>);

impl<'a> Script<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// Whether there are no more choices.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `bound`, which is at most 256.
    pub(crate) fn below(&mut self, bound: u16) -> u8 {
        let byte: u8 = self.0.arbitrary().unwrap_or_default();
        u8::try_from(u16::from(byte) % bound).unwrap_or_default()
    }

    /// Any number; mostly a small one, else one near a power of two or wild.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(16) {
            small @ 0..=9 => small.into(),
            10 => self.below(256).into(),
            11 => u64::MAX - u64::from(self.below(3)),
            12 => (1_u64 << (self.below(64))).wrapping_sub(u64::from(self.below(3))),
            _ => self.0.arbitrary().unwrap_or_default(),
        }
    }

    /// One chance in `many`.
    pub(crate) fn rarely(&mut self, many: u16) -> bool {
        self.below(many) == 1
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Up to `most` bytes.
    pub(crate) fn bytes(&mut self, most: u16) -> Vec<u8> {
        let length = usize::from(self.0.arbitrary::<u16>().unwrap_or_default() % (most + 1));
        let length = length.min(self.0.len());
        self.0.bytes(length).unwrap_or_default().to_vec()
    }

    /// A number of up to 16 bits.
    pub(crate) fn short(&mut self) -> u16 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// Up to `most` things.
    pub(crate) fn list<T>(&mut self, most: u16, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| one(self)).collect()
    }
}
