//! What can be wrong with encoded bytes, as one byte, so that results stay in registers.

use crate::error::ErrorKind;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end within an item, or a declared length exceeds what is left.
    Truncated,
    /// Bytes follow where nothing should.
    Trailing,
    /// An item has no declared length.
    Indefinite,
    /// A number or length is not in its shortest form.
    NotShortest,
    /// A head that the specification reserves.
    Reserved,
    /// The end mark of an item of no declared length stands where there is none.
    StrayBreak,
    /// An item of no declared length is not made of what it may be made of.
    BadChunk,
    /// Text is not UTF-8.
    NotUtf8,
    /// A number exceeds its field's range.
    OutOfRange,
    /// An array has fewer fields than its meaning needs.
    MissingFields,
    /// An item is not a number.
    NoNumber,
    /// An item is not a truth value.
    NoTruth,
    /// An item is not a byte string.
    NoBytes,
    /// An item is not a text.
    NoText,
    /// An item is not an array.
    NoArray,
    /// A byte string is not as long as its meaning needs.
    BadLength,
    /// Nesting exceeds the bound.
    TooDeep,
    /// A collection has more items than the bound.
    TooManyItems,
    /// A string of no declared length has more chunks than the bound.
    TooManyChunks,
    /// A text exceeds the bound of its field.
    TooLong,
}

impl Fault {
    /// The kind of the error that reports this; `otherwise` unless a bound was exceeded. What a
    /// program stored is damaged even then: nothing that it wrote exceeds one.
    pub(super) fn kind(self, otherwise: ErrorKind) -> ErrorKind {
        match self {
            _ if otherwise == ErrorKind::Corrupt => otherwise,
            Self::TooDeep | Self::TooManyItems | Self::TooManyChunks | Self::TooLong => {
                ErrorKind::TooLarge
            }
            _ => otherwise,
        }
    }

    /// The sentence that tells it.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Truncated => "the bytes end within an item",
            Self::Trailing => "bytes follow the end of the item",
            Self::Indefinite => "an item has no declared length",
            Self::NotShortest => "a number or length is not in its shortest form",
            Self::Reserved => "an item starts with a reserved byte",
            Self::StrayBreak => "an end mark stands where no item ends",
            Self::BadChunk => "a chunk is of another type than its string",
            Self::NotUtf8 => "text is not UTF-8",
            Self::OutOfRange => "a number is out of its field's range",
            Self::MissingFields => "an array has too few fields",
            Self::NoNumber => "expected a number",
            Self::NoTruth => "expected true or false",
            Self::NoBytes => "expected a byte string",
            Self::NoText => "expected a text",
            Self::NoArray => "expected an array",
            Self::BadLength => "a byte string is not as long as its field needs",
            Self::TooDeep => "items are nested too deeply",
            Self::TooManyItems => "a collection has too many items",
            Self::TooManyChunks => "a string has too many chunks",
            Self::TooLong => "a text is too long for its field",
        }
    }
}
