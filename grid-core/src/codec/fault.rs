//! What can be wrong with encoded bytes, as a value that costs nothing to make.

use crate::error::ErrorKind;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
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
    /// An item is of another type than the named one.
    Expected(&'static str),
    /// Nesting exceeds the bound.
    TooDeep,
    /// A collection has more items than the bound.
    TooManyItems,
    /// A text exceeds the bound of its field.
    TooLong,
}

impl Fault {
    /// The kind of the error that reports this; `otherwise` unless a bound was exceeded.
    pub(super) fn kind(self, otherwise: ErrorKind) -> ErrorKind {
        match self {
            Self::TooDeep | Self::TooManyItems | Self::TooLong => ErrorKind::TooLarge,
            _ => otherwise,
        }
    }

    /// The sentence that tells it.
    pub(super) fn message(self) -> String {
        match self {
            Self::Truncated => "the bytes end within an item".to_owned(),
            Self::Trailing => "bytes follow the end of the item".to_owned(),
            Self::Indefinite => "an item has no declared length".to_owned(),
            Self::NotShortest => "a number or length is not in its shortest form".to_owned(),
            Self::Reserved => "an item starts with a reserved byte".to_owned(),
            Self::StrayBreak => "an end mark stands where no item ends".to_owned(),
            Self::BadChunk => "a chunk is of another type than its string".to_owned(),
            Self::NotUtf8 => "text is not UTF-8".to_owned(),
            Self::OutOfRange => "a number is out of its field's range".to_owned(),
            Self::MissingFields => "an array has too few fields".to_owned(),
            Self::Expected(what) => format!("expected {what}"),
            Self::TooDeep => "items are nested too deeply".to_owned(),
            Self::TooManyItems => "a collection has too many items".to_owned(),
            Self::TooLong => "a text is too long for its field".to_owned(),
        }
    }
}
