//! Heads of CBOR items (RFC 8949, section 3): the major type and its argument.

use super::fault::Fault;

/// Major type of a number from 0 up.
pub(crate) const UINT: u8 = 0;
/// Major type of a number below 0.
pub(crate) const NEGATIVE: u8 = 1;
/// Major type of a byte string.
pub(crate) const BYTES: u8 = 2;
/// Major type of a text.
pub(crate) const TEXT: u8 = 3;
/// Major type of an array.
pub(crate) const ARRAY: u8 = 4;
/// Major type of a map.
pub(crate) const MAP: u8 = 5;
/// Major type of a tag.
pub(crate) const TAG: u8 = 6;
/// Major type of simple values and floating point numbers.
pub(crate) const SIMPLE: u8 = 7;

/// The low bits of a head that say "no declared length".
pub(crate) const INDEFINITE: u8 = 31;
/// The byte that ends an item of no declared length.
pub(crate) const BREAK: u8 = 0xff;
/// The byte of `false`.
pub(crate) const FALSE: u8 = 0xf4;
/// The byte of `true`.
pub(crate) const TRUE: u8 = 0xf5;
/// The byte before a floating point number of 16 bits.
pub(crate) const FLOAT16: u8 = 0xf9;
/// The byte before a floating point number of 32 bits.
pub(crate) const FLOAT32: u8 = 0xfa;
/// The byte before a floating point number of 64 bits.
pub(crate) const FLOAT64: u8 = 0xfb;
/// The byte of `null`.
pub(crate) const NULL: u8 = 0xf6;

/// Takes `N` bytes off the front.
#[inline]
pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (front, after) = rest.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
    *rest = after;
    Ok(*front)
}

/// Takes `length` bytes off the front.
#[inline]
pub(crate) fn take_slice<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], Fault> {
    let length = usize::try_from(length).map_err(|_| Fault::Truncated)?;
    let (front, after) = rest.split_at_checked(length).ok_or(Fault::Truncated)?;
    *rest = after;
    Ok(front)
}

/// Takes a head off the front: its major type, its argument, and the least argument that this
/// form of head is meant for.
#[inline]
pub(crate) fn head(rest: &mut &[u8]) -> Result<(u8, u64, u64), Fault> {
    let [first] = take::<1>(rest)?;
    let info = first & 0x1f;
    let (argument, least) = match info {
        0..=23 => (u64::from(info), 0),
        24 => (u64::from(u8::from_be_bytes(take(rest)?)), 24),
        25 => (u64::from(u16::from_be_bytes(take(rest)?)), 1 << 8),
        26 => (u64::from(u32::from_be_bytes(take(rest)?)), 1 << 16),
        27 => (u64::from_be_bytes(take(rest)?), 1 << 32),
        INDEFINITE => return Err(Fault::Indefinite),
        _ => return Err(Fault::Reserved),
    };
    Ok((first >> 5, argument, least))
}
