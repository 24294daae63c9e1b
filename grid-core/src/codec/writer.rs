//! The writer of positional CBOR.

use bytes::{BufMut, BytesMut};

use super::head::{ARRAY, BYTES, FALSE, FLOAT64, NEGATIVE, NULL, TEXT, TRUE, UINT};

/// Appends CBOR items to a buffer: definite lengths only, every number in its shortest form.
///
/// Methods for the grid's own types (stamps, keys, records, …) stand beside those for plain items.
///
/// ```
/// use bytes::BytesMut;
/// use grid_core::codec::Writer;
///
/// let mut buffer = BytesMut::new();
/// let mut writer = Writer::new(&mut buffer);
/// writer.tuple(2);
/// writer.u64(500);
/// writer.text("hi");
/// assert_eq!(&buffer[..], b"\x82\x19\x01\xf4\x62hi");
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut BytesMut,
    longest_list: usize,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `buffer`.
    #[must_use]
    pub fn new(buffer: &'a mut BytesMut) -> Self {
        Self {
            buffer,
            longest_list: 0,
        }
    }

    /// The most items of any list written so far.
    #[must_use]
    pub fn longest_list(&self) -> usize {
        self.longest_list
    }

    /// Starts an array of `fields` fields, each with a meaning of its own; they follow.
    #[inline]
    pub fn tuple(&mut self, fields: usize) {
        self.head(ARRAY, fields as u64);
    }

    /// Starts an array of `items` alike items; they follow.
    #[inline]
    pub fn list(&mut self, items: usize) {
        self.longest_list = self.longest_list.max(items);
        self.head(ARRAY, items as u64);
    }

    /// Writes a list of which `item` writes each item.
    pub fn items<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.list(items.len());
        for each in items {
            item(self, each);
        }
    }

    /// Writes a number from 0 up.
    #[inline]
    pub fn u64(&mut self, number: u64) {
        self.head(UINT, number);
    }

    /// Writes a number that may be below 0.
    #[inline]
    pub fn i64(&mut self, number: i64) {
        if number < 0 {
            self.head(NEGATIVE, (!number).cast_unsigned());
        } else {
            self.head(UINT, number.cast_unsigned());
        }
    }

    /// Writes a floating point number, with 64 bits always.
    pub(crate) fn float(&mut self, number: f64) {
        self.buffer.put_u8(FLOAT64);
        self.buffer.put_f64(number);
    }

    /// Writes a number below 0: the distance from −1 down to it.
    pub(crate) fn below_zero(&mut self, distance: u64) {
        self.head(NEGATIVE, distance);
    }

    /// Writes a truth value.
    #[inline]
    pub fn bool(&mut self, truth: bool) {
        self.buffer.put_u8(if truth { TRUE } else { FALSE });
    }

    /// Writes `null`, which stands for "none".
    #[inline]
    pub fn null(&mut self) {
        self.buffer.put_u8(NULL);
    }

    /// Writes what `some` writes, or `null`.
    #[inline]
    pub fn option<T>(&mut self, option: Option<T>, some: impl FnOnce(&mut Self, T)) {
        match option {
            Some(value) => some(self, value),
            None => self.null(),
        }
    }

    /// Writes a byte string.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.buffer.put_slice(bytes);
    }

    /// Writes a text.
    #[inline]
    pub fn text(&mut self, text: &str) {
        self.text_bytes(text.as_bytes());
    }

    /// Writes a text whose bytes are known to be UTF-8.
    #[inline]
    pub(super) fn text_bytes(&mut self, text: &[u8]) {
        self.head(TEXT, text.len() as u64);
        self.buffer.put_slice(text);
    }

    /// Writes numbers of 64 bits that compress badly (hashes) as one byte string, big-endian.
    pub fn packed(&mut self, numbers: &[u64]) {
        self.longest_list = self.longest_list.max(numbers.len());
        self.head(BYTES, 8 * numbers.len() as u64);
        self.buffer.reserve(8 * numbers.len());
        for number in numbers {
            self.buffer.put_u64(*number);
        }
    }

    /// Writes pairs of such numbers, likewise.
    pub fn packed_pairs(&mut self, pairs: &[(u64, u64)]) {
        self.longest_list = self.longest_list.max(pairs.len());
        self.head(BYTES, 16 * pairs.len() as u64);
        self.buffer.reserve(16 * pairs.len());
        for (first, second) in pairs {
            self.buffer.put_u64(*first);
            self.buffer.put_u64(*second);
        }
    }

    #[inline]
    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        let [b0, b1, b2, b3, b4, b5, b6, b7] = argument.to_be_bytes();
        if argument < 24 {
            self.buffer.put_u8(major | b7);
        } else if argument < 1 << 8 {
            self.buffer.put_slice(&[major | 24, b7]);
        } else if argument < 1 << 16 {
            self.buffer.put_slice(&[major | 25, b6, b7]);
        } else if argument < 1 << 32 {
            self.buffer.put_slice(&[major | 26, b4, b5, b6, b7]);
        } else {
            self.buffer
                .put_slice(&[major | 27, b0, b1, b2, b3, b4, b5, b6, b7]);
        }
    }
}
