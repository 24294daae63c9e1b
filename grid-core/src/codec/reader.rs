//! The borrowing reader of positional CBOR.

use bytes::Bytes;

use super::fault::Fault;
use super::head::{
    ARRAY, BYTES, FALSE, FLOAT64, NEGATIVE, NULL, TEXT, TRUE, UINT, head, take, take_slice,
};
use super::value::Walk;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_CBOR_DEPTH;
use crate::traits::CodecLimits;

/// An array whose fields each have a meaning of their own, being read; hand it to
/// [`Reader::end`] after the last known field.
#[derive(Debug)]
#[must_use = "Reader::end skips the fields that are not known"]
pub struct Tuple {
    left: usize,
}

impl Tuple {
    /// How many fields are left that nobody asked for yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }
}

/// Reads CBOR items as [`super::Writer`] writes them, from memory that what it returns shares.
///
/// Every declared length is compared with the bytes that are left before anything is allocated.
/// Items of no declared length and numbers that are not in their shortest form are refused.
/// After an error the reader is of no further use.
///
/// ```
/// use bytes::Bytes;
/// use grid_core::codec::Reader;
///
/// let row = Bytes::from_static(b"\x83\x19\x01\xf4\x62hi\xf6");
/// let mut reader = Reader::of_row(&row);
/// let tuple = reader.tuple(2)?;
/// assert_eq!(reader.u64()?, 500);
/// assert_eq!(reader.text()?, "hi");
/// reader.end(tuple)?; // skips the third field, which came with a later version
/// reader.finish()?;
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    whole: &'a Bytes,
    rest: &'a [u8],
    max_items: usize,
    max_depth: usize,
    kind: ErrorKind,
    operation: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader of what a peer sent: its errors are `Protocol`.
    ///
    /// # Errors
    /// `TooLarge` when the frame exceeds `limits`.
    pub fn of_frame(frame: &'a Bytes, limits: &CodecLimits) -> Result<Self> {
        let operation = "decode frame";
        if frame.len() > limits.max_frame_bytes {
            let message = format!(
                "the frame has {} bytes; at most {} are allowed",
                frame.len(),
                limits.max_frame_bytes
            );
            return Err(Error::new(ErrorKind::TooLarge, operation, message));
        }
        Ok(Self {
            whole: frame,
            rest: frame,
            max_items: limits.max_items,
            max_depth: limits.max_depth,
            kind: ErrorKind::Protocol,
            operation,
        })
    }

    /// A reader of what this program stored (a row, a journal entry): its errors are `Corrupt`,
    /// and its collections are bounded by the length of the row alone.
    #[must_use]
    pub fn of_row(row: &'a Bytes) -> Self {
        Self {
            whole: row,
            rest: row,
            max_items: usize::MAX,
            max_depth: MAX_CBOR_DEPTH,
            kind: ErrorKind::Corrupt,
            operation: "decode row",
        }
    }

    /// Takes one byte that is no CBOR item: the version of a stored format, the kind of a frame.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn raw_byte(&mut self) -> Result<u8> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or_else(|| self.fail(Fault::Truncated))?;
        self.rest = rest;
        Ok(*first)
    }

    /// Starts an array of at least `fields` fields, each with a meaning of its own.
    ///
    /// # Errors
    /// When there is no such array.
    #[inline]
    pub fn tuple(&mut self, fields: usize) -> Result<Tuple> {
        let left = self.array()?;
        let mut tuple = Tuple { left };
        self.more(&mut tuple, fields)?;
        Ok(tuple)
    }

    /// Asks for `fields` more fields of `tuple`.
    ///
    /// # Errors
    /// When it has not so many.
    #[inline]
    pub fn more(&self, tuple: &mut Tuple, fields: usize) -> Result<()> {
        tuple.left = tuple
            .left
            .checked_sub(fields)
            .ok_or_else(|| self.fail(Fault::MissingFields))?;
        Ok(())
    }

    /// A field that earlier versions do not write, if it is there.
    ///
    /// # Errors
    /// As `read`.
    #[inline]
    pub fn trailing<T>(
        &mut self,
        tuple: &mut Tuple,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Option<T>> {
        if tuple.left == 0 {
            return Ok(None);
        }
        tuple.left -= 1;
        read(self).map(Some)
    }

    /// Skips the fields of `tuple` that nobody asked for: those of later versions.
    ///
    /// # Errors
    /// When they are no well-formed items.
    #[inline]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a tuple that was ended is not read on"
    )]
    pub fn end(&mut self, tuple: Tuple) -> Result<()> {
        for _ in 0..tuple.left {
            self.skip()?;
        }
        Ok(())
    }

    /// Starts a list and tells how many items follow; each takes at least `least_bytes` (at least
    /// 1), so that room for them may be reserved.
    ///
    /// # Errors
    /// When there is no list, or not enough bytes for its items; `TooLarge` beyond the limit.
    #[inline]
    pub fn list(&mut self, least_bytes: usize) -> Result<usize> {
        let items = self.array()?;
        if items > self.rest.len() / least_bytes.max(1) {
            return Err(self.fail(Fault::Truncated));
        }
        Ok(items)
    }

    /// Reads a list of which `item` reads each item; each takes at least `least_bytes`.
    ///
    /// # Errors
    /// As [`Reader::list`], and those of `item`.
    #[inline]
    pub fn items<T>(
        &mut self,
        least_bytes: usize,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.list(least_bytes)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Reads a number from 0 up.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        self.argument(UINT, Fault::NoNumber)
    }

    /// Reads a number of 32 bits.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        self.narrow()
    }

    /// Reads a number of 16 bits.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        self.narrow()
    }

    /// Reads a number of 8 bits.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        self.narrow()
    }

    /// Reads a number that may be below 0.
    ///
    /// # Errors
    /// When there is none that fits.
    #[inline]
    pub fn i64(&mut self) -> Result<i64> {
        let (major, argument, least) = head(&mut self.rest).map_err(|fault| self.fail(fault))?;
        let number = i64::try_from(argument).map_err(|_| self.fail(Fault::OutOfRange))?;
        if argument < least {
            return Err(self.fail(Fault::NotShortest));
        }
        match major {
            UINT => Ok(number),
            NEGATIVE => Ok(!number),
            _ => Err(self.fail(Fault::NoNumber)),
        }
    }

    /// Reads a truth value.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn bool(&mut self) -> Result<bool> {
        match self.raw_byte()? {
            FALSE => Ok(false),
            TRUE => Ok(true),
            _ => Err(self.fail(Fault::NoTruth)),
        }
    }

    /// The first byte of what comes next.
    pub(crate) fn peek(&self) -> Result<u8> {
        let first = self.rest.first().copied();
        first.ok_or_else(|| self.fail(Fault::Truncated))
    }

    /// Reads any number without a fraction that CBOR has.
    pub(crate) fn integer(&mut self) -> Result<i128> {
        if self.peek()? >> 5 == NEGATIVE {
            return Ok(-1 - i128::from(self.argument(NEGATIVE, Fault::NoNumber)?));
        }
        self.u64().map(i128::from)
    }

    /// Reads a floating point number of 64 bits.
    pub(crate) fn float(&mut self) -> Result<f64> {
        if self.raw_byte()? != FLOAT64 {
            return Err(self.fail(Fault::NoNumber));
        }
        let bits = take::<8>(&mut self.rest).map_err(|fault| self.fail(fault))?;
        Ok(f64::from_be_bytes(bits))
    }

    /// Reads `null` as none, or what `some` reads.
    ///
    /// # Errors
    /// Those of `some`.
    #[inline]
    pub fn option<T>(&mut self, some: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if let Some((&NULL, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(None);
        }
        some(self).map(Some)
    }

    /// Reads a byte string, which shares the memory that is read from.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn bytes(&mut self) -> Result<Bytes> {
        let slice = self.bytes_ref()?;
        Ok(self.whole.slice_ref(slice))
    }

    /// Reads a byte string without taking hold of it.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn bytes_ref(&mut self) -> Result<&'a [u8]> {
        let length = self.argument(BYTES, Fault::NoBytes)?;
        take_slice(&mut self.rest, length).map_err(|fault| self.fail(fault))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str> {
        let length = self.argument(TEXT, Fault::NoText)?;
        let slice = take_slice(&mut self.rest, length).map_err(|fault| self.fail(fault))?;
        std::str::from_utf8(slice).map_err(|_| self.fail(Fault::NotUtf8))
    }

    /// Reads a text of at most `max_bytes`.
    ///
    /// # Errors
    /// When there is none; `TooLarge` beyond the bound.
    pub fn short_text(&mut self, max_bytes: usize) -> Result<&'a str> {
        let text = self.text()?;
        if text.len() > max_bytes {
            return Err(self.fail(Fault::TooLong));
        }
        Ok(text)
    }

    /// Reads a text that shares the memory; whether it is UTF-8 is for the caller to check.
    #[inline]
    pub(super) fn text_bytes(&mut self) -> Result<Bytes> {
        let length = self.argument(TEXT, Fault::NoText)?;
        let slice = take_slice(&mut self.rest, length).map_err(|fault| self.fail(fault))?;
        Ok(self.whole.slice_ref(slice))
    }

    /// Reads a byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// When there is none.
    pub fn array_of<const N: usize>(&mut self) -> Result<[u8; N]> {
        let slice = self.bytes_ref()?;
        slice.try_into().map_err(|_| self.fail(Fault::BadLength))
    }

    /// Reads numbers that [`super::Writer::packed`] wrote.
    ///
    /// # Errors
    /// When there are none; `TooLarge` beyond the limit.
    pub fn packed(&mut self) -> Result<Vec<u64>> {
        let numbers = self.chunks::<8>()?;
        Ok(numbers.iter().map(|b| u64::from_be_bytes(*b)).collect())
    }

    /// Reads pairs that [`super::Writer::packed_pairs`] wrote.
    ///
    /// # Errors
    /// When there are none; `TooLarge` beyond the limit.
    pub fn packed_pairs(&mut self) -> Result<Vec<(u64, u64)>> {
        let pairs = self.chunks::<16>()?;
        let halves = |both: &[u8; 16]| {
            let [a, b, c, d, e, f, g, h, second @ ..] = *both;
            let first = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (first, u64::from_be_bytes(second))
        };
        Ok(pairs.iter().map(halves).collect())
    }

    /// A byte string as chunks of `N` bytes.
    fn chunks<const N: usize>(&mut self) -> Result<&'a [[u8; N]]> {
        let slice = self.bytes_ref()?;
        let (chunks, odd) = slice.as_chunks::<N>();
        if !odd.is_empty() {
            return Err(self.fail(Fault::BadLength));
        }
        if chunks.len() > self.max_items {
            return Err(self.fail(Fault::TooManyItems));
        }
        Ok(chunks)
    }

    /// Skips one item, whatever it is.
    ///
    /// # Errors
    /// When it is not well-formed; `TooLarge` when it exceeds a limit.
    pub fn skip(&mut self) -> Result<()> {
        let walk = Walk {
            max_depth: self.max_depth,
            max_items: self.max_items,
            indefinite: false,
            utf8: true,
        };
        walk.skip(&mut self.rest).map_err(|fault| self.fail(fault))
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub fn finish(&self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.fail(Fault::Trailing))
        }
    }

    /// The error that says what is wrong with what was just read.
    #[cold]
    #[must_use]
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::new(self.kind, self.operation, message).with("offset", self.offset())
    }

    #[cold]
    pub(super) fn fail(&self, fault: Fault) -> Error {
        Error::new(fault.kind(self.kind), self.operation, fault.message())
            .with("offset", self.offset())
    }

    fn offset(&self) -> usize {
        self.whole.len() - self.rest.len()
    }

    /// The length of an array, within the limit.
    #[inline]
    fn array(&mut self) -> Result<usize> {
        let length = self.argument(ARRAY, Fault::NoArray)?;
        match usize::try_from(length) {
            Ok(length) if length <= self.max_items => Ok(length),
            _ => Err(self.fail(Fault::TooManyItems)),
        }
    }

    #[inline]
    fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T> {
        let number = self.u64()?;
        T::try_from(number).map_err(|_| self.fail(Fault::OutOfRange))
    }

    #[inline]
    fn argument(&mut self, major: u8, otherwise: Fault) -> Result<u64> {
        let (found, argument, least) = head(&mut self.rest).map_err(|fault| self.fail(fault))?;
        if found != major {
            return Err(self.fail(otherwise));
        }
        if argument < least {
            return Err(self.fail(Fault::NotShortest));
        }
        Ok(argument)
    }
}
